//! A `buildkitd` on TCP that takes clients with a certificate: TLS before an Engine's own BuildKit.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use super::engines::{engines, script};

/// Makes the Engine's connection one to its BuildKit.
const UPGRADE: &[u8] =
    b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

/// Certificates that `scripts/engine` made: of the Engine's `own` authority, or of a `stranger`.
pub(crate) fn certificates(of: &str) -> PathBuf {
    engines().certificates.join(of)
}

/// `[builder.tls]` with files of these origins.
pub(crate) fn tls(authority: &str, client: Option<&str>) -> String {
    let line = |key: &str, of: &str, name: &str| {
        let path = certificates(of).join(name);
        format!("{key} = \"{}\"\n", path.display())
    };
    let authority = line("ca", authority, "ca.pem");
    let client = client.map_or_else(String::new, |of| {
        line("cert", of, "cert.pem") + &line("key", of, "key.pem")
    });
    format!("[builder.tls]\n{authority}{client}")
}

/// Listens on a loopback port of its own until it is dropped.
#[derive(Debug)]
pub(crate) struct TlsBuildkitd {
    _runtime: Runtime,
    address: SocketAddr,
}

impl TlsBuildkitd {
    /// Before the Engine of this socket, with the certificates of the test engines' own authority.
    pub(crate) fn new(engine: &str) -> Self {
        script(&["start", "tls"]);
        let engine = engine.trim_start_matches("unix://").to_owned();
        let runtime = Runtime::new().expect("threads can be started");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a loopback port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let acceptor = TlsAcceptor::from(Arc::new(configuration()));
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A connection that breaks concerns its two ends only.
                tokio::spawn(serve(client, acceptor.clone(), engine.clone()));
            }
        });
        Self {
            _runtime: runtime,
            address,
        }
    }

    /// As a `builder.endpoint`.
    pub(crate) fn endpoint(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// A user's configuration that leads here; `tls` are lines of `[builder.tls]`.
    pub(crate) fn configuration(&self, tls: &str) -> String {
        format!("[builder]\nendpoint = \"{}\"\n{tls}", self.endpoint())
    }
}

fn configuration() -> ServerConfig {
    let own = certificates("own");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut authorities = RootCertStore::empty();
    authorities
        .add(certificate(&own.join("ca.pem")))
        .expect("it is an authority's");
    let verifier =
        WebPkiClientVerifier::builder_with_provider(authorities.into(), provider.clone())
            .build()
            .expect("there is an authority");
    let key = PrivateKeyDer::from_pem_file(own.join("key.pem")).expect("a key was made");
    let mut configuration = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default versions")
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate(&own.join("cert.pem"))], key)
        .expect("certificate and key belong together");
    configuration.alpn_protocols = vec![b"h2".to_vec()];
    configuration
}

fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).expect("a certificate was made")
}

async fn serve(client: TcpStream, acceptor: TlsAcceptor, engine: String) -> io::Result<()> {
    let mut client = acceptor.accept(client).await?;
    let mut engine = UnixStream::connect(engine).await?;
    engine.write_all(UPGRADE).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(engine.read_u8().await?);
    }
    tokio::io::copy_bidirectional(&mut client, &mut engine).await?;
    Ok(())
}
