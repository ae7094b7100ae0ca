//! Outside vectors and bad inputs, through our own entry points.
