"""Finds services by gRPC server reflection (v1alpha), whose few messages are declared here."""

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def _reflection_messages():
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="reflection_subset.proto", package="grpc.reflection.v1alpha", syntax="proto3")

    def message(name, *fields):
        added = file.message_type.add(name=name)
        for number, field_name, kind, label, type_name in fields:
            added.field.add(number=number, name=field_name, type=kind, label=label,
                            type_name=type_name)

    one, many, package = field.LABEL_OPTIONAL, field.LABEL_REPEATED, ".grpc.reflection.v1alpha."
    message("ServerReflectionRequest",
            (4, "file_containing_symbol", field.TYPE_STRING, one, None),
            (7, "list_services", field.TYPE_STRING, one, None))
    message("FileDescriptorResponse", (1, "file_descriptor_proto", field.TYPE_BYTES, many, None))
    message("ServiceResponse", (1, "name", field.TYPE_STRING, one, None))
    message("ListServiceResponse",
            (1, "service", field.TYPE_MESSAGE, many, package + "ServiceResponse"))
    message("ServerReflectionResponse",
            (4, "file_descriptor_response", field.TYPE_MESSAGE, one,
             package + "FileDescriptorResponse"),
            (6, "list_services_response", field.TYPE_MESSAGE, one, package + "ListServiceResponse"))
    # proto3 drops empty strings, so list_services carries "*".
    return message_factory.GetMessages([file])


_MESSAGES = _reflection_messages()
_REQUEST = _MESSAGES["grpc.reflection.v1alpha.ServerReflectionRequest"]
_RESPONSE = _MESSAGES["grpc.reflection.v1alpha.ServerReflectionResponse"]


class Reflection:
    """Message classes and call paths as the server describes them."""

    def __init__(self, channel):
        self._ask = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=_REQUEST.SerializeToString,
            response_deserializer=_RESPONSE.FromString)
        self._channel = channel
        self._pool = descriptor_pool.DescriptorPool()

    def services(self):
        answer = next(self._ask(iter([_REQUEST(list_services="*")]), timeout=30))
        return [service.name for service in answer.list_services_response.service]

    def load(self, service):
        answer = next(self._ask(iter([_REQUEST(file_containing_symbol=service)]), timeout=30))
        for encoded in answer.file_descriptor_response.file_descriptor_proto:
            self._pool.Add(descriptor_pb2.FileDescriptorProto.FromString(encoded))
        return self._pool.FindServiceByName(service)

    def call(self, service, method_name):
        """(request class, a callable for the method), built from the descriptors alone."""
        method = self.load(service).methods_by_name[method_name]
        factory = message_factory.MessageFactory(self._pool)
        request = factory.GetPrototype(method.input_type)
        response = factory.GetPrototype(method.output_type)
        make = self._channel.unary_stream if method.server_streaming else self._channel.unary_unary
        return request, make(f"/{service}/{method_name}",
                             request_serializer=request.SerializeToString,
                             response_deserializer=response.FromString)
