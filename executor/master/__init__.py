# SPDX-License-Identifier: Apache-2.0
"""The only place with configuration: store, scheduler, device-configs and the service that agents and clients
ask.
"""
