# SPDX-License-Identifier: Apache-2.0
# Passes for the word that the job gives.
test "$1" = "from the job"
