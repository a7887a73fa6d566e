//! Coins for the load: withdrawn as a wallet does it, in batches, without checking each against the bank's public key.

use std::{net::SocketAddr, sync::Arc};

use bauta_crypto::{
    blind::{self, BlindingFactor, CoinSignature},
    secret::Secret,
    sign::SigningKey,
};
use bauta_io::SystemRng;
use bauta_proto::{
    account::WithdrawRequest,
    codec::Message,
    coin::{CoinName, Input, Issued, Output},
    limits::OUTPUTS_MAX,
    money::Amount,
    transport::bank::Withdraw,
};
use rayon::prelude::*;

use super::{
    load::{Connection, Measured, Prepared, drive},
    process::Process,
    setting::Setting,
};
use crate::failure::{Failure, Outcome};

/// Withdrawals under way at once.
const CONNECTIONS: usize = 4;
/// A withdrawal may take so long before the measurement gives up.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(3_600);

/// A coin and its key.
pub struct Coin {
    name: CoinName,
    signature: CoinSignature,
    /// Signs what the coin pays for.
    pub key: SigningKey,
}

impl Coin {
    /// The coin as the input of a request that takes all of it.
    pub fn input(&self) -> Input {
        let value = Amount::power_of_two(self.name.exponent);
        Input {
            keyset: self.name.keyset,
            exponent: self.name.exponent,
            key: self.name.key,
            signature: self.signature,
            sequence: 0,
            amount: value.expect("the bank has issued this denomination"),
        }
    }
}

/// A coin before the bank has signed it.
struct Blank {
    name: CoinName,
    key: SigningKey,
    factor: BlindingFactor,
    output: Output,
}

impl Blank {
    fn new(setting: &Setting, exponent: u8) -> Self {
        let mut rng = SystemRng::new();
        let key = SigningKey::from_seed(&Secret::generate(&mut rng));
        let keyset = setting.keyset_id;
        let name = CoinName {
            keyset,
            exponent,
            key: key.verifying_key(),
        };
        let factor = BlindingFactor::from_seed(&Secret::generate(&mut rng));
        let blinded = blind::blind(&name.to_bytes(), &factor);
        let output = Output {
            keyset,
            exponent,
            blinded,
        };
        Self {
            name,
            key,
            factor,
            output,
        }
    }
}

/// Fresh outputs of 2^`exponent` each, in the order that a request needs.
pub fn outputs(setting: &Setting, exponent: u8, count: usize) -> Vec<Output> {
    let mut outputs: Vec<Output> = (0..count)
        .map(|_| Blank::new(setting, exponent).output)
        .collect();
    outputs.sort_by_key(|output| output.blinded);
    outputs
}

/// Credits a new account, and withdraws as many coins of 2^`exponent`, rounded up to whole requests. The measurement of
/// the withdrawals comes with them.
pub async fn withdraw(
    setting: &Setting,
    exponent: u8,
    count: usize,
    processes: &[&Process],
) -> Outcome<(Vec<Coin>, Measured)> {
    let account = SigningKey::from_seed(&Secret::generate(&mut SystemRng::new()));
    let requests = count.div_ceil(OUTPUTS_MAX);
    let units = ((requests * OUTPUTS_MAX) as u64) << exponent;
    setting.credit(account.verifying_key().into(), units)?;
    let batches: Vec<Vec<Blank>> = (0..requests)
        .into_par_iter()
        .map(|_| blanks(setting, exponent))
        .collect();
    let prepared = batches
        .iter()
        .map(|blanks| request(setting, &account, blanks))
        .collect();
    let (answers, measured) = answers(setting.address, prepared, processes).await?;
    let coins = batches
        .into_par_iter()
        .zip(answers)
        .map(|(blanks, issued)| unblind(blanks, &issued))
        .collect::<Outcome<Vec<Vec<Coin>>>>()?;
    Ok((coins.into_iter().flatten().collect(), measured))
}

fn blanks(setting: &Setting, exponent: u8) -> Vec<Blank> {
    let mut blanks: Vec<Blank> = (0..OUTPUTS_MAX)
        .map(|_| Blank::new(setting, exponent))
        .collect();
    blanks.sort_by_key(|blank| blank.output.blinded);
    blanks
}

fn request(setting: &Setting, account: &SigningKey, blanks: &[Blank]) -> Prepared {
    let request = WithdrawRequest {
        bank: setting.bank,
        account: account.verifying_key().into(),
        outputs: blanks.iter().map(|blank| blank.output.clone()).collect(),
    };
    Prepared::new::<Withdraw>(&request.signed(account))
}

/// Sends all requests and keeps the answers, in the requests' order.
async fn answers(
    address: SocketAddr,
    requests: Vec<Prepared>,
    processes: &[&Process],
) -> Outcome<(Vec<Issued>, Measured)> {
    let mut workers = Vec::new();
    for _ in 0..CONNECTIONS {
        workers.push(Connection::open(address).await?);
    }
    let count = requests.len();
    let requests: Arc<[Prepared]> = requests.into();
    let (sender, receiver) = std::sync::mpsc::channel();
    let step = move |mut connection: Connection, index: usize| {
        let (requests, sender) = (Arc::clone(&requests), sender.clone());
        async move {
            let body = connection.post(&requests[index]).await?;
            let _kept = sender.send((index, body));
            Ok(connection)
        }
    };
    let measured = drive(workers, count, LIMIT, processes, step).await?;
    let mut bodies: Vec<_> = receiver.try_iter().collect();
    bodies.sort_by_key(|(index, _)| *index);
    let issued = bodies.iter().map(|(_, body)| Issued::from_bytes(body));
    let issued = issued.collect::<Result<_, _>>();
    Ok((
        issued.map_err(|error| Failure::from_error(&error))?,
        measured,
    ))
}

fn unblind(blanks: Vec<Blank>, issued: &Issued) -> Outcome<Vec<Coin>> {
    if blanks.len() != issued.signatures.len() {
        return Err(Failure::local("the bank did not sign every coin"));
    }
    let coins = blanks.into_iter().zip(&issued.signatures);
    coins
        .map(|(blank, signed)| {
            let signature = blind::unblind_unchecked(&blank.factor, signed)
                .map_err(|error| Failure::from_error(&error))?;
            Ok(Coin {
                name: blank.name,
                signature,
                key: blank.key,
            })
        })
        .collect()
}
