# SPDX-License-Identifier: Apache-2.0
"""How fast the program is, measured beside what the machine itself can do, in the same run.

    python -m bench [--only NAME]… [--quick] [--json FILE]

Nothing is asserted here: a benchmark shows figures, and a person judges them. The modules `console`,
`images`, `journal` and `wire` are not in the table: each measures one part alone and is run by itself
(`python -m bench.console`).
"""
