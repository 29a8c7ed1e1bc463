"""What is to be done, with which model, in which order."""
