"""Cites in full every paper and method that tables, report, documents and docstrings name."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """Cites a paper, method or data set that is named somewhere in this project.

    Attributes:
        key: identifier by which a table refers to it, see :attr:`Table.references`.
        name: words by which tables, documents and docstrings call it.
        authors: all authors, in the order of the publication.
        title: title of the publication.
        year: year of the publication.
        published: journal, conference or other place of publication.
        link: address of the publication, https; empty where none is certain to last.
    """

    key: str
    name: str
    authors: str
    title: str
    year: int
    published: str
    link: str = ""


REFERENCES: tuple[Reference, ...] = (
    # The papers whose figures and tables are rebuilt.
    Reference(
        "capacity",
        "capacity paper",
        "Jasmine Collins, Jascha Sohl-Dickstein and David Sussillo",
        "Capacity and Trainability in Recurrent Neural Networks",
        2017,
        "International Conference on Learning Representations (ICLR)",
        "https://arxiv.org/abs/1611.09913",
    ),
    Reference(
        "fading_memory",
        "fading-memory paper",
        "Igor Dubinin and Felix Effenberger",
        "Fading memory as inductive bias in residual recurrent networks",
        2024,
        "Neural Networks 173, 106179",
        "https://arxiv.org/abs/2307.14823",
    ),
    Reference(
        "depth",
        "depth paper",
        "Maude Lizaire, Michael Rizvi-Martel, Éric Dupuis and Guillaume Rabusseau",
        "On the Role of Depth in the Expressivity of RNNs",
        2026,
        "arXiv:2604.02201",
        "https://arxiv.org/abs/2604.02201",
    ),
    Reference(
        "chapter",
        "chapter 10.5",
        "Chao Ma",
        "Chapter 10.5: Deep Recurrent Networks",
        2025,
        "Web page on deep learning",
        "https://ickma2311.github.io/ML/rnn-deep.html",
    ),
    # Architectures.
    Reference(
        "elman",
        "Elman",
        "Jeffrey L. Elman",
        "Finding Structure in Time",
        1990,
        "Cognitive Science 14(2), 179-211",
        "https://doi.org/10.1207/s15516709cog1402_1",
    ),
    Reference(
        "lstm",
        "LSTM",
        "Sepp Hochreiter and Jürgen Schmidhuber",
        "Long Short-Term Memory",
        1997,
        "Neural Computation 9(8), 1735-1780",
        "https://doi.org/10.1162/neco.1997.9.8.1735",
    ),
    Reference(
        "gru",
        "GRU",
        "Kyunghyun Cho, Bart van Merriënboer, Caglar Gulcehre, Dzmitry Bahdanau, Fethi Bougares, "
        "Holger Schwenk and Yoshua Bengio",
        "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine "
        "Translation",
        2014,
        "Empirical Methods in Natural Language Processing (EMNLP)",
        "https://arxiv.org/abs/1406.1078",
    ),
    Reference(
        "deep_transition",
        "Pascanu et al.",
        "Razvan Pascanu, Caglar Gulcehre, Kyunghyun Cho and Yoshua Bengio",
        "How to Construct Deep Recurrent Neural Networks",
        2014,
        "International Conference on Learning Representations (ICLR)",
        "https://arxiv.org/abs/1312.6026",
    ),
    Reference(
        "irnn",
        "IRNN",
        "Quoc V. Le, Navdeep Jaitly and Geoffrey E. Hinton",
        "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units",
        2015,
        "arXiv:1504.00941",
        "https://arxiv.org/abs/1504.00941",
    ),
    Reference(
        "mirnn",
        "MIRNN",
        "Yuhuai Wu, Saizheng Zhang, Ying Zhang, Yoshua Bengio and Ruslan Salakhutdinov",
        "On Multiplicative Integration with Recurrent Neural Networks",
        2016,
        "Advances in Neural Information Processing Systems (NIPS)",
        "https://arxiv.org/abs/1606.06630",
    ),
    Reference(
        "ur_lstm",
        "UR-LSTM",
        "Albert Gu, Caglar Gulcehre, Tom Le Paine, Matt Hoffman and Razvan Pascanu",
        "Improving the Gating Mechanism of Recurrent Neural Networks",
        2020,
        "International Conference on Machine Learning (ICML)",
        "https://arxiv.org/abs/1910.09890",
    ),
    Reference(
        "s4",
        "S4",
        "Albert Gu, Karan Goel and Christopher Ré",
        "Efficiently Modeling Long Sequences with Structured State Spaces",
        2022,
        "International Conference on Learning Representations (ICLR)",
        "https://arxiv.org/abs/2111.00396",
    ),
    Reference(
        "s4d",
        "S4D",
        "Albert Gu, Ankit Gupta, Karan Goel and Christopher Ré",
        "On the Parameterization and Initialization of Diagonal State Space Models",
        2022,
        "Advances in Neural Information Processing Systems (NeurIPS)",
        "https://arxiv.org/abs/2206.11893",
    ),
    Reference(
        "gelu",
        "GELU",
        "Dan Hendrycks and Kevin Gimpel",
        "Gaussian Error Linear Units (GELUs)",
        2016,
        "arXiv:1606.08415",
        "https://arxiv.org/abs/1606.08415",
    ),
    Reference(
        "cprnn",
        "CPRNN",
        "Maude Lizaire, Michael Rizvi-Martel, Marawan Gamal Abdel Hameed and Guillaume Rabusseau",
        "A Tensor Decomposition Perspective on Second-order RNNs",
        2024,
        "arXiv:2406.05045",
        "https://arxiv.org/abs/2406.05045",
    ),
    # Tasks and data sets.
    Reference(
        "mnist",
        "MNIST",
        "Yann LeCun, Léon Bottou, Yoshua Bengio and Patrick Haffner",
        "Gradient-Based Learning Applied to Document Recognition",
        1998,
        "Proceedings of the IEEE 86(11), 2278-2324",
        "https://doi.org/10.1109/5.726791",
    ),
    Reference(
        "digits",
        "digits",
        "Ethem Alpaydin and Cenk Kaynak",
        "Optical Recognition of Handwritten Digits",
        1998,
        "UCI Machine Learning Repository",
    ),
    Reference(
        "cifar",
        "CIFAR-10",
        "Alex Krizhevsky",
        "Learning Multiple Layers of Features from Tiny Images",
        2009,
        "Technical report, University of Toronto",
        "https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf",
    ),
    Reference(
        "text8",
        "text8",
        "Matt Mahoney",
        "Large Text Compression Benchmark: About the Test Data",
        2011,
        "Web page",
    ),
    Reference(
        "shakespeare",
        "Shakespeare",
        "Andrej Karpathy",
        "The Unreasonable Effectiveness of Recurrent Neural Networks",
        2015,
        "Web page",
        "https://karpathy.github.io/2015/05/21/rnn-effectiveness/",
    ),
    Reference(
        "long_range_arena",
        "Long Range Arena",
        "Yi Tay, Mostafa Dehghani, Samira Abnar, Yikang Shen, Dara Bahri, Philip Pham, Jinfeng "
        "Rao, Liu Yang, Sebastian Ruder and Donald Metzler",
        "Long Range Arena: A Benchmark for Efficient Transformers",
        2020,
        "arXiv:2011.04006",
        "https://arxiv.org/abs/2011.04006",
    ),
    # Training and search.
    Reference(
        "rmsprop",
        "RMSProp",
        "Tijmen Tieleman and Geoffrey Hinton",
        "Lecture 6.5: RMSProp, divide the gradient by a running average of its recent magnitude",
        2012,
        "COURSERA: Neural Networks for Machine Learning",
    ),
    Reference(
        "gp",
        "Gaussian process",
        "Jasper Snoek, Hugo Larochelle and Ryan P. Adams",
        "Practical Bayesian Optimization of Machine Learning Algorithms",
        2012,
        "Advances in Neural Information Processing Systems (NIPS)",
        "https://arxiv.org/abs/1206.2944",
    ),
    Reference(
        "adam",
        "Adam",
        "Diederik P. Kingma and Jimmy Ba",
        "Adam: A Method for Stochastic Optimization",
        2015,
        "International Conference on Learning Representations (ICLR)",
        "https://arxiv.org/abs/1412.6980",
    ),
    Reference(
        "optuna",
        "Optuna",
        "Takuya Akiba, Shotaro Sano, Toshihiko Yanase, Takeru Ohta and Masanori Koyama",
        "Optuna: A Next-generation Hyperparameter Optimization Framework",
        2019,
        "Knowledge Discovery and Data Mining (KDD)",
        "https://arxiv.org/abs/1907.10902",
    ),
    Reference(
        "asha",
        "ASHA",
        "Liam Li, Kevin Jamieson, Afshin Rostamizadeh, Ekaterina Gonina, Jonathan Ben-tzur, "
        "Moritz Hardt, Benjamin Recht and Ameet Talwalkar",
        "A System for Massively Parallel Hyperparameter Tuning",
        2020,
        "Machine Learning and Systems (MLSys)",
        "https://arxiv.org/abs/1810.05934",
    ),
    Reference(
        "qlogei",
        "qLogEI",
        "Sebastian Ament, Samuel Daulton, David Eriksson, Maximilian Balandat and Eytan Bakshy",
        "Unexpected Improvements to Expected Improvement for Bayesian Optimization",
        2023,
        "Advances in Neural Information Processing Systems (NeurIPS)",
        "https://arxiv.org/abs/2310.20708",
    ),
    # Statistics.
    Reference(
        "student",
        "Student's t",
        "Student (William Sealy Gosset)",
        "The Probable Error of a Mean",
        1908,
        "Biometrika 6(1), 1-25",
        "https://doi.org/10.1093/biomet/6.1.1",
    ),
    Reference(
        "wilson",
        "Wilson",
        "Edwin B. Wilson",
        "Probable Inference, the Law of Succession, and Statistical Inference",
        1927,
        "Journal of the American Statistical Association 22(158), 209-212",
        "https://doi.org/10.1080/01621459.1927.10502953",
    ),
    Reference(
        "clopper_pearson",
        "Clopper and Pearson",
        "C. J. Clopper and E. S. Pearson",
        "The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial",
        1934,
        "Biometrika 26(4), 404-413",
        "https://doi.org/10.1093/biomet/26.4.404",
    ),
    Reference(
        "welch",
        "Welch's t",
        "B. L. Welch",
        "The Generalization of 'Student's' Problem when Several Different Population Variances "
        "are Involved",
        1947,
        "Biometrika 34(1-2), 28-35",
        "https://doi.org/10.1093/biomet/34.1-2.28",
    ),
    Reference(
        "newcombe",
        "Newcombe",
        "Robert G. Newcombe",
        "Interval Estimation for the Difference between Independent Proportions: Comparison of "
        "Eleven Methods",
        1998,
        "Statistics in Medicine 17(8), 873-890",
    ),
    Reference(
        "fieller",
        "Fieller et al.",
        "E. C. Fieller, H. O. Hartley and E. S. Pearson",
        "Tests for Rank Correlation Coefficients. I",
        1957,
        "Biometrika 44(3/4), 470-481",
        "https://doi.org/10.1093/biomet/44.3-4.470",
    ),
    Reference(
        "mann_whitney",
        "Mann-Whitney",
        "H. B. Mann and D. R. Whitney",
        "On a Test of Whether one of Two Random Variables is Stochastically Larger than the Other",
        1947,
        "The Annals of Mathematical Statistics 18(1), 50-60",
        "https://doi.org/10.1214/aoms/1177730491",
    ),
    Reference(
        "sign_test",
        "sign test",
        "W. J. Dixon and A. M. Mood",
        "The Statistical Sign Test",
        1946,
        "Journal of the American Statistical Association 41(236), 557-566",
        "https://doi.org/10.1080/01621459.1946.10501898",
    ),
    Reference(
        "u_statistic",
        "U-statistic",
        "Wassily Hoeffding",
        "A Class of Statistics with Asymptotically Normal Distribution",
        1948,
        "The Annals of Mathematical Statistics 19(3), 293-325",
        "https://doi.org/10.1214/aoms/1177730196",
    ),
    Reference(
        "jackknife",
        "jackknife",
        "John W. Tukey",
        "Bias and Confidence in Not-quite Large Samples (Abstract)",
        1958,
        "The Annals of Mathematical Statistics 29(2), 614",
    ),
    Reference(
        "holm",
        "Holm",
        "Sture Holm",
        "A Simple Sequentially Rejective Multiple Test Procedure",
        1979,
        "Scandinavian Journal of Statistics 6(2), 65-70",
        "https://www.jstor.org/stable/4615733",
    ),
    Reference(
        "hedges",
        "Hedges",
        "Larry V. Hedges",
        "Distribution Theory for Glass's Estimator of Effect Size and Related Estimators",
        1981,
        "Journal of Educational Statistics 6(2), 107-128",
        "https://doi.org/10.3102/10769986006002107",
    ),
    Reference(
        "dodge",
        "Dodge et al.",
        "Jesse Dodge, Suchin Gururangan, Dallas Card, Roy Schwartz and Noah A. Smith",
        "Show Your Work: Improved Reporting of Experimental Results",
        2019,
        "Empirical Methods in Natural Language Processing (EMNLP-IJCNLP)",
        "https://aclanthology.org/D19-1224",
    ),
    Reference(
        "tang",
        "Tang et al.",
        "Raphael Tang, Jaejun Lee, Ji Xin, Xinyu Liu, Yaoliang Yu and Jimmy Lin",
        "Showing Your Work Doesn't Always Work",
        2020,
        "Association for Computational Linguistics (ACL)",
        "https://arxiv.org/abs/2004.13705",
    ),
    # Presentation.
    Reference(
        "preferred_numbers",
        "Renard",
        "International Organization for Standardization",
        "Preferred numbers: Series of preferred numbers",
        1973,
        "ISO 3:1973",
    ),
    Reference(
        "colours",
        "Okabe and Ito",
        "Masataka Okabe and Kei Ito",
        "Color Universal Design (CUD): How to make figures and presentations that are friendly "
        "to colorblind people",
        2008,
        "Web page",
        "https://jfly.uni-koeln.de/color/",
    ),
    # What diagnostics compute with.
    Reference(
        "gauss_newton",
        "Gauss-Newton matrix",
        "Nicol N. Schraudolph",
        "Fast Curvature Matrix-Vector Products for Second-Order Gradient Descent",
        2002,
        "Neural Computation 14(7), 1723-1738",
        "https://doi.org/10.1162/08997660260028683",
    ),
    Reference(
        "lanczos",
        "Lanczos",
        "Gene H. Golub and Charles F. Van Loan",
        "Matrix Computations",
        2013,
        "Johns Hopkins University Press, 4th edition",
    ),
)

_BY_KEY = {reference.key: reference for reference in REFERENCES}


def name_of(key: str) -> str:
    """Return the words by which tables and documents call a reference.

    Raises:
        KeyError: no reference has this key.
    """
    return _BY_KEY[key].name


def citation(key: str) -> str:
    """Return one reference in full, on one line: name, authors, year, title, place and link.

    Raises:
        KeyError: no reference has this key.
    """
    reference = _BY_KEY[key]
    parts = [
        f"{reference.name}: {reference.authors} ({reference.year})",
        reference.title,
        reference.published,
    ]
    text = f"{'. '.join(parts)}."
    return f"{text} {reference.link}" if reference.link else text


def citations(keys: Iterable[str]) -> list[str]:
    """Return the citations of these references, each one once, in the order of ``REFERENCES``.

    Args:
        keys: keys of references, in any order.

    Raises:
        KeyError: no reference has one of the keys.
    """
    wanted = set(keys)
    if unknown := wanted - set(_BY_KEY):
        raise KeyError(*sorted(unknown))
    return [citation(reference.key) for reference in REFERENCES if reference.key in wanted]
