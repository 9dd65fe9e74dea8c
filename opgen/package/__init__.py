"""A wheel of operators, which installs and runs without opgen."""
