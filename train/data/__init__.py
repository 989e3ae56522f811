"""Which images there are and what class each is of: from channels to a data set of checked samples."""
