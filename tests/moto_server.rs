//! A server that speaks enough of S3: moto. It is installed once, into a virtual environment in the
//! cache folder.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use python::environment;

#[path = "python.rs"]
pub mod python;

/// A server that ends with this value.
pub struct Moto {
    server: Child,
    pub endpoint: String,
}

impl Moto {
    /// Starts a server on a free port.
    pub fn start() -> Self {
        // Another process may take the port between these lines; nothing better is on offer.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let server = Command::new(
            environment("moto-venv", &["moto[server]==5.2.5"]).join("bin/moto_server"),
        )
        .args(["-H", "127.0.0.1", "-p", &address.port().to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("moto_server starts");
        let mut moto = Self {
            server,
            endpoint: format!("http://{address}"),
        };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            let exited = moto.server.try_wait().unwrap();
            assert!(exited.is_none(), "moto_server ended: {exited:?}");
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "moto_server does not answer"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        moto
    }

    /// Puts an object, or a bucket, without a signature.
    pub fn put(&self, path: &str, body: &str) {
        use std::io::{Read, Write};
        let address = self.endpoint.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "PUT {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=AKIATEST/20250101/us-east-1/s3/aws4_request\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
