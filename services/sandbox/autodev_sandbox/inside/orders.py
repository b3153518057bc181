"""What the host and a warden say to each other, one message each."""

# To the warden. To make a sandbox: its bytes in /tmp as decimals, along with its channel's descriptor.
KILL = b"kill"
# From the warden: by the first letter. After FAILED comes why, after ENDED the sandbox's wait status.
READY, FAILED, ENDED = b"r", b"f", b"e"
MESSAGE_BYTES = 65536
