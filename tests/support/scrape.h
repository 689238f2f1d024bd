// What a metrics server shows.
#ifndef TESTS_SUPPORT_SCRAPE_H_
#define TESTS_SUPPORT_SCRAPE_H_

#include <cstdint>
#include <string>

namespace spearfish::tests {

// The whole answer to one GET of /metrics on this host, with headers.
std::string Scrape(uint16_t port);

// The value of one series, written as it is exposed: name{label="value"}. NaN when there is none.
double ScrapedValue(const std::string& answer, const std::string& series);

}  // namespace spearfish::tests

#endif  // TESTS_SUPPORT_SCRAPE_H_
