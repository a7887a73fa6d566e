//! A way between two roles that records what passes and does something at a chosen request, or harm to any.

use std::{
    io::{self, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::{
    http::{self, Answer, Parts},
    weather::Weather,
};

/// At which moment of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// It has not arrived.
    Before,
    /// It has just been sent; the role may or may not have begun.
    Forwarded,
    /// It is done, and the answer never arrives.
    Answered,
}

impl When {
    pub(crate) const ALL: [Self; 3] = [Self::Before, Self::Forwarded, Self::Answered];
}

/// What is done once, at the `number`-th request from now whose path begins with `path`.
pub(crate) struct Trap {
    pub(crate) path: &'static str,
    pub(crate) number: usize,
    pub(crate) when: When,
    pub(crate) action: Box<dyn FnOnce() + Send>,
}

/// A request that was answered.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) path: String,
    pub(crate) media_type: String,
    pub(crate) request: Vec<u8>,
    pub(crate) answer: Answer,
}

/// Listens on one port and passes everything on to another.
pub(crate) struct Proxy {
    port: u16,
    way: Arc<Way>,
}

struct Way {
    upstream: u16,
    stopped: AtomicBool,
    trap: Mutex<Option<Trap>>,
    passed: Mutex<Vec<Exchange>>,
    weather: Mutex<Weather>,
}

impl Proxy {
    pub(crate) fn start(port: u16, upstream: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a free port");
        let way = Arc::new(Way {
            upstream,
            stopped: AtomicBool::new(false),
            trap: Mutex::default(),
            passed: Mutex::default(),
            weather: Mutex::default(),
        });
        let of_thread = Arc::clone(&way);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if of_thread.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let way = Arc::clone(&of_thread);
                // A caller that goes away is its own business.
                thread::spawn(move || drop(way.serve(stream)));
            }
        });
        Self { port, way }
    }

    /// Waits for a request. Replaces a trap that has not sprung.
    pub(crate) fn set(&self, trap: Trap) {
        *locked(&self.way.trap) = Some(trap);
    }

    /// From now on, this weather; what has passed is forgotten. Returns the old weather.
    pub(crate) fn suffer(&self, weather: Weather) -> Weather {
        locked(&self.way.passed).clear();
        std::mem::replace(&mut locked(&self.way.weather), weather)
    }

    /// From now on nothing gets through to paths that begin so.
    pub(crate) fn close(&self, paths: &'static [&'static str]) {
        locked(&self.way.weather).close(paths);
    }

    /// What has passed and was answered, in order.
    pub(crate) fn passed(&self) -> Vec<Exchange> {
        locked(&self.way.passed).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.way.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener, so that it sees.
        let _woken = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Way {
    fn serve(&self, mut caller: TcpStream) -> io::Result<()> {
        let Some(request) = Parts::read(&mut caller)? else {
            return Ok(());
        };
        let mut weather = locked(&self.weather);
        let (latency, harm) = (weather.latency(), weather.next(request.second_word()));
        drop(weather);
        thread::sleep(latency);
        if let Some(harm) = harm {
            return harm.befall(&request.for_one_connection(), caller, self.upstream);
        }
        let sprung = self.take_trap(request.second_word());
        if let Some(trap) = sprung {
            return self.spring(trap, &request);
        }
        let answer = http::exchange(self.upstream, &request.for_one_connection())?;
        let whole = answer.bytes();
        self.record(&request, answer);
        caller.write_all(&whole)
    }

    /// The trap, if it waits for this request.
    fn take_trap(&self, path: &str) -> Option<Trap> {
        let mut place = locked(&self.trap);
        let trap = place.as_mut()?;
        if path.starts_with(trap.path) {
            trap.number -= 1;
            if trap.number == 0 {
                return place.take();
            }
        }
        None
    }

    /// The caller gets no answer, whatever became of the request.
    fn spring(&self, trap: Trap, request: &Parts) -> io::Result<()> {
        match trap.when {
            When::Before => (trap.action)(),
            When::Forwarded => {
                let upstream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.upstream));
                let sent = upstream.and_then(|mut stream| {
                    stream.write_all(&request.for_one_connection())?;
                    Ok(stream)
                });
                (trap.action)();
                drop(sent);
            }
            When::Answered => {
                let answer = http::exchange(self.upstream, &request.for_one_connection());
                (trap.action)();
                self.record(request, answer?);
            }
        }
        Ok(())
    }

    fn record(&self, request: &Parts, answer: Answer) {
        locked(&self.passed).push(Exchange {
            path: request.second_word().to_owned(),
            media_type: request
                .header("content-type")
                .unwrap_or_default()
                .to_owned(),
            request: request.body.clone(),
            answer,
        });
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
