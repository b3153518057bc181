"""Programs that reach for the network, and for whatever else a socket leads to."""

from tests.security.program import BRIEF, PROCESS, STRONG, Expected, Program, Trace, Weakness

THE_NETWORK = "reach the network, and every server of the machine"
ANY_SOCKET = "open every kind of socket that the kernel gives its user"
REACHES = {PROCESS: Weakness(THE_NETWORK, value="reached", leaves=frozenset({Trace.VISIT}))}
OPENS = {PROCESS: Weakness(ANY_SOCKET, value=Expected.AS_OUTSIDE)}

# Families of linux/socket.h by which kernels were broken or network namespaces walked around: number, type, protocol.
FAMILIES = {
    "netlink": {"netlink_route": (16, 3, 0), "netlink_audit": (16, 3, 9), "netlink_netfilter": (16, 3, 12)},
    "packet": {"packet": (17, 3, 0x300), "xdp": (44, 3, 0)},
    "alg": {"alg": (38, 5, 0)},
    "vsock": {"vsock_stream": (40, 1, 0), "vsock_datagram": (40, 2, 0), "vsock_packet": (40, 5, 0)},
    "radio": {
        "bluetooth": (31, 3, 1),
        "nfc": (39, 3, 1),
        "ieee802154": (36, 2, 0),
        "phonet": (35, 2, 0),
        "can": (29, 3, 1),
    },
    "cluster": {"tipc": (30, 5, 0), "rds": (21, 5, 0), "smc": (43, 1, 0), "kcm": (41, 5, 0), "qipcrtr": (42, 2, 0)},
    "tunnel": {"key": (15, 3, 2), "pppox": (24, 2, 0), "rxrpc": (33, 2, 2), "mctp": (45, 2, 0), "caif": (37, 5, 0)},
    "of_old": {"appletalk": (5, 2, 0), "x25": (9, 5, 0), "ax25": (3, 5, 0), "netrom": (6, 5, 0), "llc": (26, 2, 0)},
}


def families(group: str) -> Program:
    return Program(
        name=f"sockets_{group}",
        tries=f"opens sockets of the families {', '.join(FAMILIES[group])}",
        code=f"""
import socket
def f(host):
    opened = []
    for name, numbers in {FAMILIES[group]}.items():
        try: socket.socket(*numbers).close(); opened.append(name)
        except OSError: pass
    return opened
""",
        value=[],
        weaker=OPENS,
    )


PROGRAMS = [
    Program(
        name="tcp",
        tries="connects to a server of the machine",
        code="""
import socket
def f(host):
    try: socket.create_connection(("127.0.0.1", host["tcp"]), 0.5)
    except OSError: return "refused"
    return "reached"
""",
        value="refused",
        weaker=REACHES,
    ),
    Program(
        name="tcp_by_ipv6",
        tries="connects to a server of the machine by IPv6",
        code="""
import socket
def f(host):
    try: socket.create_connection(("::1", host["tcp6"]), 0.5)
    except OSError: return "refused"
    return "reached"
""",
        value="refused",
        weaker=REACHES,
    ),
    Program(
        name="udp",
        tries="sends to a server of the machine",
        code="""
import socket
def f(host):
    try: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", host["udp"]))
    except OSError: return "refused"
    return "reached"
""",
        # A datagram into an empty network is sent, and arrives nowhere: visits are counted.
        value=Expected.ANY,
        weaker=REACHES,
    ),
    Program(
        name="unix_by_path",
        tries="connects to a server of the machine by its path",
        code="""
import socket
def f(host):
    try: socket.socket(socket.AF_UNIX).connect(host["unix"])
    except OSError: return "refused"
    return "reached"
""",
        value="refused",
        weaker=REACHES,
    ),
    Program(
        name="unix_by_name",
        tries="connects to a server of the machine by its name, which is in no file system",
        code="""
import socket
def f(host):
    try: socket.socket(socket.AF_UNIX).connect("\\0" + host["abstract"])
    except OSError: return "refused"
    return "reached"
""",
        value="refused",
        weaker=REACHES,
    ),
    Program(
        name="service_itself",
        tries="calls the service that runs it, which trusts the machine's own callers",
        code="""
import socket
def f(host):
    try: socket.create_connection(("127.0.0.1", host["service_port"]), 0.5)
    except OSError: return "refused"
    return "reached"
""",
        value="refused",
        weaker={PROCESS: Weakness(THE_NETWORK, value="reached")},
    ),
    Program(
        name="metadata_of_a_cloud",
        tries="asks the address where clouds keep their machines' credentials",
        code="""
import errno, socket
def f(host):
    asking = socket.socket()
    asking.settimeout(0.3)
    error = asking.connect_ex(("169.254.169.254", 80))
    return "refused" if error in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EPERM, errno.EACCES) else "sent"
""",
        value="refused",
        weaker={PROCESS: Weakness(THE_NETWORK, value=Expected.AS_OUTSIDE)},
    ),
    Program(
        name="names",
        tries="resolves a name, which leaks what is in it",
        code="""
import socket
def f(host):
    try: socket.getaddrinfo("secret." + "example.org", 80)
    except OSError: return "refused"
    return "resolved"
""",
        value="refused",
        limits=BRIEF,
        # Where there is a network, the battery asks nobody's name server.
        levels=STRONG,
    ),
    Program(
        name="devices_of_the_network",
        tries="lists the machine's network devices",
        code="""
import socket
def f(host):
    try: return sorted(name for _, name in socket.if_nameindex() if name != "lo")
    except OSError: return []
""",
        # Kernels with tunnel modules put one of each into every network namespace.
        value=lambda names: (
            isinstance(names, list) and not any(str(name).startswith(("eth", "en", "wl")) for name in names)
        ),
        weaker={PROCESS: Weakness(THE_NETWORK, value=Expected.AS_OUTSIDE)},
    ),
    Program(
        name="raw_sockets",
        tries="makes packets by hand",
        code="""
import socket
def f(host):
    got = []
    for family, protocol in ((socket.AF_INET, 1), (socket.AF_INET, 255), (socket.AF_INET6, 58)):
        try: socket.socket(family, socket.SOCK_RAW, protocol); got.append(protocol)
        except OSError: pass
    return got
""",
        value=[],
        weaker=OPENS,
    ),
    Program(
        name="packet_filter",
        tries="reads and changes the packet filter",
        code="""
import socket
def f(host):
    got = []
    for option in (64, 65):
        try: socket.socket().getsockopt(socket.SOL_IP, option, 84); got.append(option)
        except OSError: pass
    return got
""",
        value=[],
    ),
    Program(
        name="device_changed",
        tries="changes a network device",
        code="""
import fcntl, socket, struct
def f(host):
    got = []
    for request in (0x8914, 0x8916, 0x8924, 0x8922):
        try: fcntl.ioctl(socket.socket(), request, struct.pack("16sHHI8x", b"lo", 2, 0, 0)); got.append(hex(request))
        except OSError: pass
    return got
""",
        value=[],
    ),
    Program(
        name="socket_handed_out",
        tries="finds a socket of the machine among its inherited descriptors",
        code="""
import os, stat
def f(host):
    found = []
    for number in range(1024):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode): found.append(number)
        except OSError: pass
    return found
""",
        value=[],
    ),
    Program(
        name="every_other_family",
        tries="opens a socket of every family there is a number for",
        code="""
import socket
def f(host):
    got = []
    for family in set(range(64)) - {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6}:
        for kind in (1, 2, 3, 4, 5, 10):
            try: socket.socket(family, kind).close(); got.append([family, kind])
            except OSError: pass
    return got
""",
        value=[],
        weaker=OPENS,
    ),
    *map(families, FAMILIES),
]
