//! A door on the way to a server: closed, nothing gets through, as if the server were down.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Closed by [`Gate::close`], open again by [`Gate::open`]. It listens until the process ends.
pub(crate) struct Gate {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    closed: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

impl Gate {
    /// A door to that server, as `host:port`; open.
    pub(crate) fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (shared, server) = (Arc::<Shared>::default(), server.to_owned());
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for visitor in listener.incoming().flatten() {
                // A visitor of a closed door is dropped: the connection ends at once.
                if !of_thread.closed.load(Ordering::SeqCst) {
                    let _ = of_thread.let_in(visitor, &server);
                }
            }
        });
        Gate { address, shared }
    }

    /// Where the door is.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Lets nobody in, and throws out who is inside.
    pub(crate) fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        for connection in self.shared.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn open(&self) {
        self.shared.closed.store(false, Ordering::SeqCst);
    }
}

impl Shared {
    fn let_in(&self, visitor: TcpStream, server: &str) -> io::Result<()> {
        let inside = TcpStream::connect(server)?;
        let mut connections = self.connections.lock().unwrap();
        connections.extend([visitor.try_clone()?, inside.try_clone()?]);
        for (mut from, mut to) in [(visitor.try_clone()?, inside.try_clone()?), (inside, visitor)] {
            thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
        Ok(())
    }
}
