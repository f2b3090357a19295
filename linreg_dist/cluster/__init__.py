"""Jobs on a Ray cluster's job server: send, watch, stop; or as a manifest for KubeRay."""

from __future__ import annotations

from linreg_dist.cluster.follow import Ending, follow, job_error
from linreg_dist.cluster.rayjob import rayjob_manifest
from linreg_dist.cluster.server import Job, JobServer, job_server_address
from linreg_dist.cluster.shipment import Shipment, pack, pack_verb
from linreg_dist.cluster.status import status_document
from linreg_dist.cluster.submit import Submission, submit

__all__ = [
    "Ending",
    "Job",
    "JobServer",
    "Shipment",
    "Submission",
    "follow",
    "job_error",
    "job_server_address",
    "pack",
    "pack_verb",
    "rayjob_manifest",
    "status_document",
    "submit",
]
