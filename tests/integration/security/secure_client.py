"""The serving tests' client over TLS and with a bearer token."""

import collections
import socket
import ssl

import grpc
from client import Client


class _Details(collections.namedtuple("_Details", "method timeout metadata credentials "
                                      "wait_for_ready compression"), grpc.ClientCallDetails):
    pass


class _Metadata(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor,
                grpc.StreamStreamClientInterceptor):
    """Adds metadata to every call."""

    def __init__(self, metadata):
        self._metadata = metadata

    def _details(self, details):
        return _Details(details.method, details.timeout,
                        [*(details.metadata or ()), *self._metadata], details.credentials, None,
                        None)

    def intercept_unary_unary(self, continuation, details, request):
        return continuation(self._details(details), request)

    intercept_unary_stream = intercept_unary_unary

    def intercept_stream_stream(self, continuation, details, requests):
        return continuation(self._details(details), requests)


class SecureClient(Client):
    """Never shares a connection with another client."""

    def __init__(self, endpoint, ca=None, identity=None, token=None, metadata=()):
        options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1),
                   ("grpc.max_metadata_size", 1 << 20)]
        if ca is None:
            channel = grpc.insecure_channel(endpoint, options)
        else:
            options.append(("grpc.ssl_target_name_override", "localhost"))
            credentials = grpc.ssl_channel_credentials(
                ca.read_bytes(), *([identity.key.read_bytes(), identity.certificate.read_bytes()]
                                   if identity else []))
            channel = grpc.secure_channel(endpoint, credentials, options)
        self._channel = channel
        if token:
            metadata = [*metadata, ("authorization", "Bearer " + token)]
        self.channel = grpc.intercept_channel(channel, _Metadata(metadata))

    def close(self):
        self._channel.close()

    def health(self, service="spearfish.v1.InferenceService"):
        """Whether the service is serving."""
        call = self.channel.unary_unary("/grpc.health.v1.Health/Check")
        name = service.encode()
        return call(b"\n" + bytes([len(name)]) + name, timeout=60) == b"\x08\x01"

    def code_of(self, method="GetServerInfo"):
        """The status code of a cheap call."""
        try:
            self.control(method)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK


def shown_certificate(endpoint):
    """The certificate (DER) that a new connection gets to see."""
    host, port = endpoint.rsplit(":", 1)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, int(port)), timeout=60) as plain:
        with context.wrap_socket(plain) as secure:
            return secure.getpeercert(binary_form=True)
