#!/usr/bin/env python3
"""Fits the polynomials of kernels/math-inl.h and prints their coefficients and errors.

Weighted minimax by Lawson's iteration on a dense Chebyshev grid, in long double: plain enough to check,
and within a few percent of the true minimax. Needs NumPy and SciPy.
"""
import numpy as np
from numpy.polynomial import chebyshev, polynomial
from scipy.special import erfcx


def lawson(f, weight, lo, hi, degree, iterations=2000):
    """Coefficients (lowest first) of the polynomial that minimises max |weight * (p - f)| on [lo, hi]."""
    n = 4000
    t = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    x = lo + (hi - lo) * (t + 1) / 2
    fx, wx = f(x), weight(x)
    basis = chebyshev.chebvander(t, degree)
    lawson_weight = np.full(n, 1.0 / n)
    best, best_error = None, np.inf
    for _ in range(iterations):
        scale = np.sqrt(lawson_weight) * wx
        c, *_ = np.linalg.lstsq(basis * scale[:, None], fx * scale, rcond=None)
        error = np.abs(wx * (basis @ c - fx))
        if error.max() < best_error:
            best, best_error = c, error.max()
        lawson_weight = lawson_weight * (error + 1e-3 * error.max())
        lawson_weight /= lawson_weight.sum()
    monomial_t = chebyshev.cheb2poly(best)
    a, b = 2.0 / (hi - lo), -(hi + lo) / (hi - lo)  # t = a x + b
    result = np.zeros(1)
    for coefficient in monomial_t[::-1]:
        result = polynomial.polyadd(polynomial.polymul(result, [b, a]), [coefficient])
    return result, best_error


def show(name, coefficients, error):
    print(f"{name}: max weighted error {error:.3g}")
    print("   ", ", ".join(f"{np.float32(c):.9g}f" for c in coefficients))


if __name__ == "__main__":
    # 2^f on [-1/2, 1/2], relative error.
    for degree in (5, 6):
        c, e = lawson(np.exp2, lambda x: np.exp2(-x), -0.5, 0.5, degree)
        show(f"exp2, degree {degree}", c, e)
    # R(a) = exp(a^2 / 2) * erfc(a / sqrt 2) / 2: what gelu(x) = max(x, 0) - a exp(-a^2 / 2) R(a), a = |x|,
    # needs. The weight makes the error that of gelu(x), relative to |x|.
    for degree in (10, 11, 12):
        c, e = lawson(lambda a: erfcx(a / np.sqrt(2)) / 2, lambda a: np.exp(-a * a / 2) + 1e-7,
                      0.0, 5.75, degree)
        show(f"gelu tail, degree {degree}", c, e)
    # P(z) with tanh(u) = u + u z P(z), z = u^2, |u| <= 0.6. The weight makes the error that of tanh(u),
    # relative; from 1e-4 on, since below it the error of P hardly counts and f itself loses its digits.
    for degree in (3, 4):
        c, e = lawson(lambda z: (np.tanh(np.sqrt(z)) / np.sqrt(z) - 1) / z,
                      lambda z: z * np.sqrt(z) / np.tanh(np.sqrt(z)), 1e-4, 0.36, degree)
        show(f"tanh near 0, degree {degree}", c, e)
