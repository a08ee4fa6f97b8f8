#pragma once
// TLS set-up: certificates, versions, trust. The records themselves go through Transport.
//
// TlsContext is immutable after it was made and shared by the transports that use it;
// shard-confined.

#include <memory>
#include <string>

#include "base/result.h"

struct bio_method_st;
struct ssl_ctx_st;

namespace sluice::net {

enum class TlsVersion : unsigned char { k1_2, k1_3 };

struct TlsServerFiles {
  std::string certificate_chain;  // PEM, leaf first
  std::string private_key;        // PEM, without a passphrase
  TlsVersion min_version = TlsVersion::k1_2;
};

struct TlsClientOptions {
  /// PEM file of authorities that are trusted besides the system's. Empty: none.
  std::string extra_ca_file;
};

class TlsContext {
 public:
  /// kInvalidArgument: a file that can't be read or parsed, an encrypted key, or a key that does
  /// not belong to the certificate. Reads files: at start and reload, not on the hot path.
  static Result<std::shared_ptr<TlsContext>> for_server(const TlsServerFiles& files);
  /// Trusts the system's authorities: its directory of hashed names, of which only what is asked
  /// for is read, or its one file where there is no directory.
  static Result<std::shared_ptr<TlsContext>> for_client(const TlsClientOptions& options);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  ssl_ctx_st* native() const { return context_; }
  /// How OpenSSL reaches a Transport's descriptor (transport.cc).
  bio_method_st* bio_method() const { return bio_method_; }
  bool is_server() const { return is_server_; }

 private:
  explicit TlsContext(bool is_server);
  ssl_ctx_st* context_ = nullptr;
  bio_method_st* bio_method_ = nullptr;
  bool is_server_;
};

/// Takes OpenSSL's newest queued error and empties the queue. "" if there is none.
std::string take_tls_error();

}  // namespace sluice::net
