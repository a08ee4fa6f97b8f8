#include "net/tls.h"

#include <cstdlib>
#include <cstring>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "net/transport.h"

namespace sluice::net {
namespace {

Error bad_file(std::string_view what, const std::string& file) {
  const std::string reason = take_tls_error();
  return Error(ErrorKind::kInvalidArgument, std::string(what) + " " + file + ": " + reason);
}

// OpenSSL would ask on the terminal for the passphrase of an encrypted key.
int no_passphrase(char*, int, int, void*) { return 0; }

int choose_http11(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                  unsigned in_size, void*) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kHttp11, sizeof kHttp11 - 1, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

bool is_directory(const char* path) {
  struct stat info{};
  return path != nullptr && stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

}  // namespace

std::string take_tls_error() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) return {};
  if (ERR_SYSTEM_ERROR(code)) return std::strerror(ERR_GET_REASON(code));
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "unknown TLS error";
}

TlsContext::TlsContext(bool is_server) : is_server_(is_server) {
  context_ = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
  bio_method_ = Transport::make_bio_method();
  SLUICE_ASSERT(context_ != nullptr && bio_method_ != nullptr);
  // An idle connection holds no record buffers; a write may be continued from a moved string.
  SSL_CTX_set_mode(context_, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(context_, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_min_proto_version(context_, TLS1_2_VERSION);
  SSL_CTX_set_default_passwd_cb(context_, no_passphrase);
}

TlsContext::~TlsContext() {
  SSL_CTX_free(context_);
  BIO_meth_free(bio_method_);
}

Result<std::shared_ptr<TlsContext>> TlsContext::for_server(const TlsServerFiles& files) {
  ERR_clear_error();
  std::shared_ptr<TlsContext> made(new TlsContext(true));
  SSL_CTX* context = made->context_;
  if (files.min_version == TlsVersion::k1_3) {
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  }
  if (SSL_CTX_use_certificate_chain_file(context, files.certificate_chain.c_str()) != 1) {
    return bad_file("certificate chain", files.certificate_chain);
  }
  if (SSL_CTX_use_PrivateKey_file(context, files.private_key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return bad_file("private key", files.private_key);
  }
  SSL_CTX_set_alpn_select_cb(context, choose_http11, nullptr);
  return made;
}

Result<std::shared_ptr<TlsContext>> TlsContext::for_client(const TlsClientOptions& options) {
  ERR_clear_error();
  std::shared_ptr<TlsContext> made(new TlsContext(false));
  SSL_CTX* context = made->context_;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  // The one big file costs some 30 ms and 4 MiB to read; the directory nothing until it is needed.
  const char* dir = std::getenv(X509_get_default_cert_dir_env());
  const bool named_file = std::getenv(X509_get_default_cert_file_env()) != nullptr;
  if (is_directory(dir != nullptr ? dir : X509_get_default_cert_dir())) {
    SSL_CTX_set_default_verify_dir(context);
    if (named_file) SSL_CTX_set_default_verify_file(context);
  } else {
    SSL_CTX_set_default_verify_file(context);
  }
  if (!options.extra_ca_file.empty() &&
      SSL_CTX_load_verify_file(context, options.extra_ca_file.c_str()) != 1) {
    return bad_file("authorities", options.extra_ca_file);
  }
  ERR_clear_error();
  return made;
}

}  // namespace sluice::net
