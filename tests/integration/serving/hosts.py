"""Hosts that share no network but the cables between them: network namespaces of Linux.

Needs root, ip (iproute2) and nft (nftables).
"""

import itertools
import os
import subprocess

_numbers = itertools.count()


def _ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def why_not():
    """What keeps this machine from having such hosts; None when nothing does."""
    name = f"spearfish-{os.getpid()}-probe"
    try:
        _ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces can't be had: {getattr(error, 'stderr', error)}"
    try:
        subprocess.run(["ip", "netns", "exec", name, "nft", "-f", "-"], check=True, text=True,
                       input=_rules("numgen random mod 100 < 1 drop"), capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"nft rules can't be had: {getattr(error, 'stderr', error)}"
    finally:
        _ip("netns", "delete", name)
    return None


def _rules(verdict):
    """Both directions of a host's cable; what it says to itself is left alone."""
    return f"""table inet fault {{
      chain from_outside {{ type filter hook input priority 0; iifname "cable" {verdict}; }}
      chain to_outside {{ type filter hook output priority 0; oifname "cable" {verdict}; }}
    }}"""


class Hosts:
    """One host a worker, each with a cable to the gateway's. The addresses are those that RFC 5737
    keeps for documentation: nobody else has them."""

    def __init__(self, num_workers):
        self.prefix = f"spearfish-{os.getpid()}-{next(_numbers)}"
        self.names = []
        self.addresses = [f"198.51.100.{4 * i + 2}:50061" for i in range(num_workers)]
        try:
            self._add("gateway")
            for number in range(num_workers):
                self._add(number)
                self._connect(number)
        except BaseException:
            self.cleanup()
            raise

    def _name(self, host):
        return f"{self.prefix}-{host}"

    def _add(self, host):
        _ip("netns", "add", self._name(host))
        self.names.append(self._name(host))
        _ip("-n", self._name(host), "link", "set", "lo", "up")

    def _connect(self, number):
        gateway, worker, end = self._name("gateway"), self._name(number), f"cable{number}"
        _ip("-n", gateway, "link", "add", end, "type", "veth", "peer", "name", "cable", "netns",
            worker)
        for host, link, last in ((gateway, end, 1), (worker, "cable", 2)):
            _ip("-n", host, "address", "add", f"198.51.100.{4 * number + last}/30", "dev", link)
            _ip("-n", host, "link", "set", link, "up")

    def command(self, host):
        """What to begin a command line with, so that it runs there."""
        return ["ip", "netns", "exec", self._name(host)]

    def _nft(self, host, rules):
        subprocess.run([*self.command(host), "nft", "-f", "-"], input=rules, text=True, check=True)

    def lose_packets(self, host, percent):
        """On its cable, in both directions, less than 100."""
        self.heal(host)
        self._nft(host, _rules(f"numgen random mod 100 < {percent} counter drop"))

    def cut_off(self, host):
        self.heal(host)
        self._nft(host, _rules("counter drop"))

    def num_lost(self, host):
        out = subprocess.run([*self.command(host), "nft", "list", "table", "inet", "fault"],
                             check=True, capture_output=True, text=True).stdout
        words = out.split()
        return sum(int(words[i + 1]) for i, word in enumerate(words) if word == "packets")

    def heal(self, host):
        self._nft(host, "add table inet fault\ndelete table inet fault")

    def cleanup(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], check=False)
