"""The machine model: one world of Windows GPU hosts with one owner process."""
