"""The demonstration: both learning loops on the sample episodes, told as they happen."""
