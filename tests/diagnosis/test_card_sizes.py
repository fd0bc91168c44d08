"""How much memory a card has by its name: laptops have less, and some models were sold with several sizes."""

from __future__ import annotations

import pytest

from remediation.diagnosis.readers.texts.gpus import read_gpu
from remediation.diagnosis.units import GIB


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [
        ("NVIDIA GeForce RTX 4090", 24),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 16),
        ("RTX 3070 Ti Laptop", 8),
        ("GeForce RTX 4070 SUPER", 12),
        ("GeForce RTX 4070 Ti SUPER", 16),
        ("RTX 4070 Max-Q", 8),
        ("GTX 1650 (mobile)", 4),
        ("NVIDIA GeForce RTX 4060", 8),
        ("NVIDIA GeForce RTX 4060 Ti", None),
        ("GTX 1060", None),
        ("NVIDIA A100", None),
        ("NVIDIA A10", 24),
        ("NVIDIA RTX 6000 Ada Generation", 48),
        ("NVIDIA L40S", 48),
        ("Tesla K80", 12),
        ("AMD Radeon RX 7800 XT", 16),
        ("AMD Radeon RX 7900 XTX", 24),
        ("Radeon RX 6650 XT", 8),
        ("RTX 3060 laptop with 6 GB", 6),
    ],
)
def test_a_name_stands_for_the_memory_of_its_card(name: str, gigabytes: int | None) -> None:
    assert read_gpu(name).memory == (gigabytes * GIB if gigabytes else None)
