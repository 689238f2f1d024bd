// How many files and sockets this process may have open.
#ifndef COMMON_BASE_FILE_LIMIT_H_
#define COMMON_BASE_FILE_LIMIT_H_

namespace spearfish {

// Takes all that the system allows: the usual soft limit of 1,024 is there for programs that use
// select(). What can't be raised stays, with a warning in the log.
void RaiseFileLimit();

}  // namespace spearfish

#endif  // COMMON_BASE_FILE_LIMIT_H_
