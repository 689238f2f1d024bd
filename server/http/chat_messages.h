// OpenAI's chat messages as spearfish.v1's.
#ifndef SERVER_HTTP_CHAT_MESSAGES_H_
#define SERVER_HTTP_CHAT_MESSAGES_H_

#include "absl/status/status.h"
#include "server/http/json_fields.h"
#include "spearfish/v1/inference.pb.h"

namespace spearfish::server {

// Appends `messages` of a request. Roles: developer (which is system), system, user, assistant and
// tool. Content: a string, null, or text parts, which are joined. InvalidArgument for everything
// else: image, audio and file parts, other roles, arguments of tool calls that are no JSON object.
absl::Status ReadMessages(const JsonFields& fields, v1::Chat& chat);

}  // namespace spearfish::server

#endif  // SERVER_HTTP_CHAT_MESSAGES_H_
