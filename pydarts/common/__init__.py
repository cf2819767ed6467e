# SPDX-License-Identifier: MIT
"""What every other folder may use: errors, checks of arguments, files, the environment."""
