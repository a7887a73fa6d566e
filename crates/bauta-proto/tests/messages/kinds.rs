//! Every message as it travels, behind one face.

use bauta_crypto::sign::VerifyingKey;
use bauta_proto::{
    accept::{Accept, AcceptRequest, Delivery},
    account::{PayeeOpening, Statement, StatementRequest, WithdrawRequest},
    codec::{DecodeError, Message, Signed},
    coin::{
        Authorized, CoinName, CoinState, CoinStateRequest, ExchangeRequest, Input, Issued, Keyset,
        KeysetList, RestoreRequest, Restored, Spend, check_inputs, check_outputs,
    },
    ids::RequestId,
    lock::{
        Capture, ClaimReply, ClaimRequest, Lock, LockPrivate, LockPublic, LockReply, LockRequest,
        LockStatus, LockStatusRequest, Payer, Release,
    },
    offer::{Offer, OrderReply, OrderRequest, Terms},
    submission::{Promise, Record, Submission},
};

/// A message that decoded.
pub(crate) struct Decoded {
    /// What it encodes to.
    pub(crate) bytes: Vec<u8>,
    /// The id of its body.
    pub(crate) id: [u8; 32],
    /// What a log would show of it.
    pub(crate) debug: String,
    /// Whether its lists and sums make sense.
    pub(crate) is_well_formed: bool,
    /// Whether its signatures hold.
    pub(crate) is_signed: bool,
}

/// One kind of body that travels.
pub(crate) struct Kind {
    /// As the vectors call it.
    pub(crate) name: &'static str,
    pub(crate) bytes_max: usize,
    decoder: fn(&[u8], Option<VerifyingKey>) -> Result<Decoded, DecodeError>,
}

impl Kind {
    pub(crate) fn decode(
        &self,
        bytes: &[u8],
        signer: Option<VerifyingKey>,
    ) -> Result<Decoded, DecodeError> {
        (self.decoder)(bytes, signer)
    }

    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }
}

/// The checks that need nothing but the message, and the key of who should have signed it.
trait Checked: Message + std::fmt::Debug {
    fn body_id(&self) -> [u8; 32] {
        self.id()
    }

    fn is_well_formed(&self) -> bool {
        true
    }

    fn is_signed(&self, _signer: Option<VerifyingKey>) -> bool {
        true
    }
}

fn decode<M: Checked>(bytes: &[u8], signer: Option<VerifyingKey>) -> Result<Decoded, DecodeError> {
    let message = M::from_bytes(bytes)?;
    Ok(Decoded {
        bytes: message.to_bytes(),
        id: message.body_id(),
        debug: format!("{message:?}"),
        is_well_formed: message.is_well_formed(),
        is_signed: message.is_signed(signer),
    })
}

macro_rules! kinds {
    ($($name:literal: $kind:ty,)*) => {
        /// Every kind.
        pub(crate) const KINDS: &[Kind] = &[$(Kind {
            name: $name,
            bytes_max: <$kind as Message>::BYTES_MAX,
            decoder: decode::<$kind>,
        },)*];
    };
}

kinds! {
    "Signed<Keyset>": Signed<Keyset>,
    "KeysetList": KeysetList,
    "CoinName": CoinName,
    "Spend": Spend,
    "Authorized<ExchangeRequest>": Authorized<ExchangeRequest>,
    "Issued": Issued,
    "RestoreRequest": RestoreRequest,
    "Restored": Restored,
    "CoinStateRequest": CoinStateRequest,
    "CoinState": CoinState,
    "Signed<WithdrawRequest>": Signed<WithdrawRequest>,
    "Signed<StatementRequest>": Signed<StatementRequest>,
    "Statement": Statement,
    "PayeeOpening": PayeeOpening,
    "Authorized<LockRequest>": Authorized<LockRequest>,
    "LockPublic": LockPublic,
    "LockPrivate": LockPrivate,
    "Lock": Lock,
    "LockReply": LockReply,
    "Capture": Capture,
    "Signed<Release>": Signed<Release>,
    "ClaimRequest": ClaimRequest,
    "ClaimReply": ClaimReply,
    "LockStatusRequest": LockStatusRequest,
    "Signed<LockStatus>": Signed<LockStatus>,
    "OrderRequest": OrderRequest,
    "Signed<Offer>": Signed<Offer>,
    "Terms": Terms,
    "OrderReply": OrderReply,
    "Signed<Accept>": Signed<Accept>,
    "AcceptRequest": AcceptRequest,
    "Delivery": Delivery,
    "Submission": Submission,
    "Signed<Promise>": Signed<Promise>,
    "Signed<Record>": Signed<Record>,
}

macro_rules! nothing_to_check {
    ($($kind:ty),*) => { $(impl Checked for $kind {})* };
}
nothing_to_check!(
    CoinName,
    Spend,
    Issued,
    RestoreRequest,
    Restored,
    CoinStateRequest,
    CoinState,
    StatementRequest,
    Statement,
    PayeeOpening,
    LockPublic,
    LockPrivate,
    Capture,
    Release,
    ClaimRequest,
    ClaimReply,
    LockStatusRequest,
    LockStatus,
    OrderRequest,
    Offer,
    Accept,
    Promise,
    Record
);

impl<M: Checked> Checked for Signed<M> {
    fn body_id(&self) -> [u8; 32] {
        self.body.id()
    }

    fn is_well_formed(&self) -> bool {
        self.body.is_well_formed()
    }

    fn is_signed(&self, signer: Option<VerifyingKey>) -> bool {
        signer.is_some_and(|signer| self.verified(&signer).is_ok())
    }
}

impl Checked for Keyset {
    fn is_well_formed(&self) -> bool {
        self.is_consistent()
    }
}

impl Checked for KeysetList {
    fn is_signed(&self, _signer: Option<VerifyingKey>) -> bool {
        let bank_signed = |keyset: &Signed<Keyset>| keyset.is_signed(Some(keyset.body.bank.key()));
        self.keysets.iter().all(|each| bank_signed(&each.keyset))
    }
}

impl Checked for WithdrawRequest {
    fn is_well_formed(&self) -> bool {
        check_outputs(&self.outputs).is_ok()
    }
}

impl Checked for Terms {
    fn is_well_formed(&self) -> bool {
        self.is_within_limits()
    }
}

impl Checked for Authorized<ExchangeRequest> {
    fn body_id(&self) -> [u8; 32] {
        self.body.id()
    }

    fn is_well_formed(&self) -> bool {
        let given = check_inputs(&self.body.inputs, self.signatures.len());
        let taken = check_outputs(&self.body.outputs);
        given.is_ok() && given == taken
    }

    fn is_signed(&self, _signer: Option<VerifyingKey>) -> bool {
        coins_consent(self, &self.body.inputs)
    }
}

impl Checked for Authorized<LockRequest> {
    fn body_id(&self) -> [u8; 32] {
        self.body.id()
    }

    fn is_well_formed(&self) -> bool {
        self.body.check_form(self.signatures.len()).is_ok()
    }

    fn is_signed(&self, _signer: Option<VerifyingKey>) -> bool {
        match &self.body.payer {
            Payer::Coins(inputs) => coins_consent(self, inputs),
            Payer::Account { account, .. } => {
                let signature = self.signatures.first();
                signature.is_some_and(|it| self.body.verify(&account.key(), it).is_ok())
            }
        }
    }
}

fn coins_consent<M: Message>(request: &Authorized<M>, inputs: &[Input]) -> bool {
    let id = RequestId(request.body.id());
    let mut pairs = inputs.iter().zip(&request.signatures);
    pairs.all(|(input, signature)| input.spend(id).verify(&input.key, signature).is_ok())
}

impl Checked for Lock {
    fn is_signed(&self, _signer: Option<VerifyingKey>) -> bool {
        self.check_signature().is_ok()
    }
}

impl Checked for LockReply {
    fn is_signed(&self, _signer: Option<VerifyingKey>) -> bool {
        self.lock.check_signature().is_ok()
    }
}

impl Checked for OrderReply {
    fn is_well_formed(&self) -> bool {
        self.terms.is_within_limits() && self.offer.body.terms == self.terms.id()
    }

    fn is_signed(&self, _signer: Option<VerifyingKey>) -> bool {
        self.offer.is_signed(Some(self.offer.body.merchant.key()))
    }
}

impl Checked for AcceptRequest {
    fn is_well_formed(&self) -> bool {
        self.accept.body.lock_tag == self.lock.lock_tag()
    }

    fn is_signed(&self, signer: Option<VerifyingKey>) -> bool {
        self.lock.check_signature().is_ok() && self.accept.is_signed(signer)
    }
}

impl Checked for Delivery {
    fn is_signed(&self, signer: Option<VerifyingKey>) -> bool {
        let mut promises = self.promises.iter();
        promises.all(|promise| promise.is_signed(signer))
    }
}

impl Checked for Submission {
    fn is_signed(&self, _signer: Option<VerifyingKey>) -> bool {
        self.checked_leaf().is_ok()
    }
}
