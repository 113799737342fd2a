"""What keeps this site from running well, found where it runs (docs/doctor.md).

Looks, and changes nothing. Each module has a probe of one part; rules that exist elsewhere, as
system checks or limits, are asked there.
"""
