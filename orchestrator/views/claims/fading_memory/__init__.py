"""Tests the claims of the fading-memory paper (Dubinin and Effenberger 2024)."""

from orchestrator.views.claims.claim import Claim, Test
from orchestrator.views.claims.fading_memory import dynamics, edge, residuals

_PAPERS = "networks of 100 units, five of each, batches of 128, 200 epochs (adding: 150)"
_STUDY = ("sweeps/fading_memory.yaml",)


def _claim(
    name: str,
    statement: str,
    place: str,
    rule: str,
    test: Test,
    papers_scale: str = _PAPERS,
    sweeps: tuple[str, ...] = _STUDY,
) -> Claim:
    return Claim(
        f"fading_{name}", statement, "fading_memory", place, rule, papers_scale, sweeps, test
    )


_BEFORE = "before training, networks of 100 units on 784 time steps, 1,000 samples"

CLAIMS = (
    _claim(
        "exponents",
        "The Lyapunov exponents of a weakly coupled network are the logarithms of the moduli of "
        "its residual's eigenvalues, up to fluctuations that the weak coupling limits.",
        "equation 13 and Figure 2B",
        "Before training, over tanh networks whose residual has one modulus alpha: the mean "
        "exponent less log alpha lies within 0.002 per time step of 0, the spread of the exponents "
        "over gamma within 0.5 of 0, and the slope of the mean exponent against log alpha within "
        "0.95 to 1.05.",
        dynamics.exponents,
        _BEFORE,
    ),
    _claim(
        "curvature",
        "The eigenvalues of the loss's Hessian grow with alpha.",
        "section 4.1 and Figure 2C",
        "Before training, on each task: the slope of the logarithm of the largest eigenvalue of "
        "the Hessian against log alpha, over tanh networks with scaled residuals of one gamma and "
        "within networks of one number, is above 0.",
        dynamics.curvature,
        _BEFORE,
    ),
    _claim(
        "gradients",
        "Gradients of subcritical and supercritical networks decay or grow exponentially over "
        "time with a constant rate.",
        "section 4.1 and Figure 2D",
        "Before training, over the last layers of tanh networks whose residual has one modulus "
        "alpha: the slope of the log norm of dL/dh_t against T - t less log alpha, over gamma, "
        "lies within 0.5 of 0, its slope against log alpha within 0.95 to 1.05, and where log "
        "alpha is farther than 0.01 from 0, a line explains more than 95 % of the log norms' "
        "variance.",
        dynamics.gradients,
        _BEFORE,
    ),
    _claim(
        "efficiency",
        "The farther a subcritical network is from the edge of chaos, the more slowly it learns.",
        "section 4.1 and Figure 3",
        "For each task and gamma with three alphas up to 1 or more, of which some network learned: "
        "the slope of the steps to the minimal performance against 1 - alpha is above 0 (scaled "
        "residuals).",
        edge.efficiency,
        sweeps=("sweeps/fading_memory.yaml", "sweeps/adding.yaml"),
    ),
    _claim(
        "instability",
        "Supercritical networks have unstable learning trajectories.",
        "section 4.1 and Figure 3A",
        "For each task and gamma, the mean fallback (the share of what a network had learned that "
        "it lost again, see the table stability) over alphas above 1 less that over alphas up to 1 "
        "is above 0 (scaled residuals).",
        edge.instability,
        sweeps=("sweeps/fading_memory.yaml", "sweeps/adding.yaml"),
    ),
    _claim(
        "adding_alpha",
        "The best networks are closer to the edge of chaos for longer adding problems.",
        "section 4.1 and Figure 3",
        "For each gamma, |log alpha| of the network with the least rms on the shortest adding "
        "problem less that on the longest one is above 0 (three alphas or more; limits by a "
        "bootstrap of the means over networks).",
        edge.adding,
        "lengths 100, 200, 400 and 800, " + _PAPERS,
        ("sweeps/adding.yaml", "sweeps/fading_memory.yaml"),
    ),
    _claim(
        "rotations",
        "Rotations help on sMNIST at the data's characteristic frequency and its multiples, and "
        "have no strong effect on psMNIST.",
        "section 4.2 and Figure 4",
        "On images in scan order (smnist, digits, scifar10), the mean accuracy at angles within a "
        "tenth of a multiple of the frequency with the largest power of the inputs (else of a line "
        "of pixels) less that at angles between is above 0, and likewise the steps to the minimal "
        "performance are below 0; on permuted images, the difference of accuracies is less "
        "than a quarter of the lower limit on images in scan order (where that is not above 0: "
        "less than 3 points), either way.",
        residuals.rotations,
        "networks of 100 units, five of each, 50 epochs of sMNIST and psMNIST",
        ("sweeps/rotations.yaml",),
    ),
    _claim(
        "heterogeneity",
        "Moderate heterogeneity (epsilon less than the distance to the edge of chaos) helps "
        "subcritical networks, and only strong heterogeneity makes learning unstable.",
        "section 4.3 and Figure 5A",
        "On each task, the steps to the minimal performance of heterogeneous networks with epsilon "
        "below 1 - alpha less those of the same networks without heterogeneity are below 0 (mean "
        "over pairs) or, where not all networks learn, the share of pairs in which the "
        "heterogeneous one learns sooner is above a half, and the mean fallback (table stability) "
        "with epsilon above 1 - alpha less that with epsilon below is above 0.",
        residuals.heterogeneity,
    ),
    _claim(
        "informed",
        "Networks with informed heterogeneity are on par with the best homogeneous configuration "
        "on all data sets.",
        "section 4.3 and Table 1",
        "On each task, the best informed network less the best homogeneous one (table residuals) "
        "is above -1 point of accuracy, or below 0.02 in rms.",
        residuals.informed,
        sweeps=("sweeps/fading_memory.yaml", "sweeps/adding.yaml"),
    ),
    _claim(
        "forms",
        "Subcritical networks of type A and weakly supercritical networks of type B perform best.",
        "section 4.4 and Figure 6A",
        "For each task and gamma with three alphas or more on both sides of 1, log alpha of the "
        "network with the best metric is below 0 for type A and above 0 for type B (limits by a "
        "bootstrap of the means over networks).",
        residuals.forms,
    ),
    _claim(
        "elman",
        "Classic Elman networks fail to learn long tasks, even with the identity as a residual "
        "and with clipped gradients.",
        "section 4.4 and Table 2",
        "On the longest adding problem, the share of Elman networks that reach the minimal "
        "performance less that of the weakly coupled network of which most do is below 0, for each "
        "Elman network that was trained.",
        residuals.elman,
        "adding with 100 to 800 steps, " + _PAPERS,
        ("sweeps/adding.yaml", "sweeps/fading_memory.yaml"),
    ),
)
