"""Columns of a table made into features: what is learned of the rows, and how it is applied.

`PrepareSpec` says what is wanted, `make_plan` what that means for the columns there are, `Learner`
looks at the rows, and a `Recipe` is what has been learned: the only code that makes features, in
training and in prediction. A way to make features of a column is one file here and one line in
`recipe.ENCODERS`.

Formulaic, the formula library of the field, was looked at and is not used: it needs pandas, learns
levels, knots and means from the rows of one process, and has no feature hashing. Its vocabulary is
used: treatment coding against a reference, `a:b` for products, `bs(x,1)` for a spline's columns.
"""

from mpi_gd.prepare.spec import PrepareSpec

__all__ = ["PrepareSpec"]
