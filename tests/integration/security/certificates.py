"""Certificate authorities and identities by the openssl command line."""

import os
import pathlib
import subprocess


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Authority:
    """Signs identities; everything lies in a folder of its own."""

    def __init__(self, folder, name):
        self.folder = pathlib.Path(folder, name)
        self.folder.mkdir()
        self.certificate = self.folder / "ca.pem"
        self._key = self.folder / "ca.key"
        self._count = 0
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-days", "2", "-subj", f"/CN={name}", "-keyout", self._key, "-out",
                 self.certificate)

    def issue(self, name, days=1):
        """An Identity whose certificate names `name` and localhost; days < 0: expired."""
        self._count += 1
        base = self.folder / f"{name}-{self._count}"
        request, extensions = f"{base}.csr", f"{base}.ext"
        pathlib.Path(extensions).write_text(
            f"subjectAltName=DNS:{name},DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                 f"/CN={name}", "-keyout", f"{base}.key", "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key,
                 "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", f"{base}.pem")
        return Identity(pathlib.Path(f"{base}.pem"), pathlib.Path(f"{base}.key"))


class Identity:
    """A certificate and its key as files."""

    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key

    def der(self):
        out = subprocess.run(["openssl", "x509", "-in", str(self.certificate), "-outform", "DER"],
                             check=True, capture_output=True)
        return out.stdout

    def install(self, certificate, key):
        """As files are renewed: one after the other takes its predecessor's place by a rename."""
        replace(key, self.key.read_bytes())
        replace(certificate, self.certificate.read_bytes())


def replace(path, content, mode=0o600):
    fresh = pathlib.Path(f"{path}.fresh")
    fresh.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.chmod(fresh, mode)
    os.rename(fresh, path)
