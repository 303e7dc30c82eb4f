//! Certificates for peers that speak DTLS, made by OpenSSL.

use super::programs::require;
use super::{Context, Failure, Outcome};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What its key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On P-256.
    Elliptic,
    /// 2048 bits.
    Rsa,
}

/// A certificate that signs itself.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// File of the certificate.
    pub pem: PathBuf,
    /// File of its key.
    pub key: PathBuf,
    /// SHA-256 in the form of `a=fingerprint` (RFC 8122 5).
    pub fingerprint: String,
}

impl Certificate {
    /// Makes one in this folder.
    pub fn make(folder: &Path, name: &str, kind: Kind) -> Outcome<Certificate> {
        let (pem, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        let mut make = Command::new(require("openssl")?);
        make.args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=phone", "-newkey"]);
        match kind {
            Kind::Elliptic => make.args(["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]),
            Kind::Rsa => make.arg("rsa:2048"),
        };
        run(make.arg("-keyout").arg(&key).arg("-out").arg(&pem))?;
        let mut tell = Command::new(require("openssl")?);
        let said = run(tell.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(&pem))?;
        let fingerprint = said.trim().split_once('=').during("reading a fingerprint")?.1.to_string();
        Ok(Certificate { pem, key, fingerprint })
    }
}

/// Runs a program to its end; what it wrote.
pub fn run(command: &mut Command) -> Outcome<String> {
    let output = command.output().during("starting a program")?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(Failure::new(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))),
    }
}
