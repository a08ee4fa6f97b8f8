#include "net/tls.h"

#include <gmock/gmock.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net/http_client.h"
#include "net/http_server_fixture.h"

namespace sluice::net {
namespace {

using namespace std::chrono_literals;
using test::HttpServerFixture;
using ::testing::HasSubstr;

/// Writes a fresh key and a certificate for localhost and 127.0.0.1, signed by itself.
void write_certificate(const std::string& certificate_file, const std::string& key_file) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  for (const auto& [nid, value] : {std::pair{NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1"},
                                   std::pair{NID_basic_constraints, "critical,CA:TRUE"}}) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_sign(certificate, key, EVP_sha256());
  std::FILE* out = std::fopen(certificate_file.c_str(), "w");
  PEM_write_X509(out, certificate);
  std::fclose(out);
  out = std::fopen(key_file.c_str(), "w");
  PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(out);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() {
    write_certificate(files_.certificate_chain, files_.private_key);
    write_certificate(dir_.file("other.pem"), dir_.file("other.key"));
  }
  Result<Endpoint> listen(const TlsServerFiles& files) {
    Result<Endpoint> bound = Error();
    f_.thread().run([&] {
      auto context = TlsContext::for_server(files);
      if (context) {
        bound = f_.server().listen_tcp("127.0.0.1", 0, *context);
      } else {
        bound = context.error();
      }
    });
    return bound;
  }
  /// Fetches with a client that trusts what ca holds, closed again before this returns.
  FetchResult<HttpClientResponse> fetch(const std::string& ca, HttpClientRequest request) {
    std::optional<HttpClient> client;
    HttpClientOptions options;
    options.tls.extra_ca_file = ca;
    f_.thread().run([&] { client.emplace(f_.thread().shard(), options); });
    auto got = f_.thread().await<FetchResult<HttpClientResponse>>(
        [&] { return client->fetch(std::move(request)); });
    f_.thread().run([&] { client.reset(); });
    return got;
  }
  Url url(std::uint16_t port, const std::string& host, const std::string& path) {
    return *Url::parse("https://" + host + ":" + std::to_string(port) + path);
  }

  test::TempDir dir_;
  TlsServerFiles files_{dir_.file("cert.pem"), dir_.file("key.pem")};
  HttpServerFixture f_;
};

TEST_F(TlsTest, ServesAClientThatTrustsItsCertificate) {
  const auto bound = listen(files_);
  ASSERT_TRUE(bound);
  for (const char* host : {"localhost", "127.0.0.1"}) {
    const auto got = fetch(files_.certificate_chain, {.url = url(bound->port, host, "/who")});
    ASSERT_TRUE(got) << got.error().error.to_string();
    EXPECT_THAT(got->body, HasSubstr(" tls"));
  }
}

TEST_F(TlsTest, ConnectionsFromNowOnGetTheCertificateThatWasSetLast) {
  const auto bound = listen(files_);
  ASSERT_TRUE(bound);
  f_.thread().run([&] {
    f_.server().set_tls(*TlsContext::for_server({dir_.file("other.pem"), dir_.file("other.key")}));
  });
  EXPECT_TRUE(fetch(dir_.file("other.pem"), {.url = url(bound->port, "localhost", "/who")}));
  EXPECT_FALSE(fetch(files_.certificate_chain, {.url = url(bound->port, "localhost", "/who")}));
  f_.thread().run([&] { f_.server().set_tls(nullptr); });
  EXPECT_FALSE(fetch(dir_.file("other.pem"), {.url = url(bound->port, "localhost", "/who")}));
}

TEST_F(TlsTest, CarriesLargeBodiesBothWays) {
  const auto bound = listen(files_);
  ASSERT_TRUE(bound);
  const std::string body(900'000, 'x');
  const auto got =
      fetch(files_.certificate_chain,
            {.method = "POST", .url = url(bound->port, "localhost", "/echo"), .body = body});
  ASSERT_TRUE(got);
  EXPECT_EQ(got->body, "POST /echo " + body);
}

TEST_F(TlsTest, ACertificateThatIsNotTrustedSendsNothing) {
  const auto bound = listen(files_);
  ASSERT_TRUE(bound);
  const auto got = fetch("", {.url = url(bound->port, "localhost", "/")});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().sent, SentState::kNotSent);
  EXPECT_THAT(got.error().error.context(), HasSubstr("certificate"));
  EXPECT_EQ(f_.started, 0);
}

TEST_F(TlsTest, ACertificateForAnotherNameSendsNothing) {
  const auto bound = listen(files_);
  ASSERT_TRUE(bound);
  const auto got = fetch(files_.certificate_chain,
                         {.url = url(bound->port, "other.invalid", "/"), .connect_to = *bound});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().sent, SentState::kNotSent);
  EXPECT_THAT(got.error().error.context(), HasSubstr("hostname mismatch"));
}

TEST_F(TlsTest, RefusesAKeyThatDoesNotBelongToTheCertificate) {
  TlsServerFiles wrong = files_;
  wrong.private_key = dir_.file("other.key");
  const auto bound = listen(wrong);
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.error().kind(), ErrorKind::kInvalidArgument);
  EXPECT_THAT(bound.error().context(), HasSubstr("mismatch"));
}

TEST_F(TlsTest, RefusesFilesThatAreMissing) {
  TlsServerFiles wrong = files_;
  wrong.certificate_chain = dir_.file("nothing.pem");
  const auto bound = listen(wrong);
  ASSERT_FALSE(bound);
  EXPECT_THAT(bound.error().context(), HasSubstr("nothing.pem"));
}

TEST_F(TlsTest, DropsAClientThatDoesNotSpeakTls) {
  const auto bound = listen(files_);
  ASSERT_TRUE(bound);
  test::RawSocket client = test::RawSocket::connect(bound->port);
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  client.read_all();
  EXPECT_EQ(f_.started, 0);
  EXPECT_THAT(f_.errors(), ::testing::Contains(HasSubstr("TLS handshake")));
}

/// Whether a client that speaks TLS 1.2 at most gets through.
bool old_client_connects(std::uint16_t port) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
  SSL* ssl = SSL_new(context);
  test::RawSocket socket = test::RawSocket::connect(port);
  SSL_set_fd(ssl, socket.fd());
  const bool connected = SSL_connect(ssl) == 1;
  SSL_free(ssl);
  SSL_CTX_free(context);
  return connected;
}

TEST_F(TlsTest, KeepsToTheLeastVersion) {
  const auto tolerant = listen(files_);
  TlsServerFiles strict_files = files_;
  strict_files.min_version = TlsVersion::k1_3;
  const auto strict = listen(strict_files);
  ASSERT_TRUE(tolerant && strict);
  EXPECT_TRUE(old_client_connects(tolerant->port));
  EXPECT_FALSE(old_client_connects(strict->port));
}

TEST_F(TlsTest, StreamsAndStopsWellFormed) {
  const auto bound = listen(files_);
  ASSERT_TRUE(bound);
  const auto got =
      fetch(files_.certificate_chain, {.url = url(bound->port, "localhost", "/stream")});
  ASSERT_TRUE(got);
  EXPECT_EQ(got->body, "one,two,three");
  EXPECT_EQ(f_.stop(5s), 0u);
}

}  // namespace
}  // namespace sluice::net
