"""What the user names: estimators and functions in the manners of scikit-learn and NumPy."""
