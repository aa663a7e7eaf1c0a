"""The measured questions about FlexServe: those that this host answers, and those for the modelled device."""

from __future__ import annotations

from .device import (
    device_ablation,
    device_applications,
    device_cache,
    device_decode,
    device_fit,
    device_hour,
    device_operations,
    device_pipeline,
    device_reclaim,
    device_release,
    device_speedup,
    device_survival,
)
from .host import (
    attack,
    decryption,
    host_cold,
    host_equality,
    host_pipeline,
    host_reclaim,
    host_security,
    host_ttft,
)
from .regions import (
    region_background,
    region_background_strawman,
    region_decrypt,
    region_decrypt_strawman,
    region_flash,
    region_flash_strawman,
    region_npu,
    region_npu_strawman,
)
from .simulator import simulator_hour, simulator_scale

__all__ = [
    "attack",
    "decryption",
    "device_ablation",
    "device_applications",
    "device_cache",
    "device_decode",
    "device_fit",
    "device_hour",
    "device_operations",
    "device_pipeline",
    "device_reclaim",
    "device_release",
    "device_speedup",
    "device_survival",
    "host_cold",
    "host_equality",
    "host_pipeline",
    "host_reclaim",
    "host_security",
    "host_ttft",
    "region_background",
    "region_background_strawman",
    "region_decrypt",
    "region_decrypt_strawman",
    "region_flash",
    "region_flash_strawman",
    "region_npu",
    "region_npu_strawman",
    "simulator_hour",
    "simulator_scale",
]
