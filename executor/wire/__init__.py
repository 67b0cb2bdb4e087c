# SPDX-License-Identifier: Apache-2.0
"""The one way in which client, agent and master talk: ZeroMQ with CURVE, versioned typed messages."""
