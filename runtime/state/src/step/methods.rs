//! Methods of the system zApp that run no zApp: ownership and money.

use alloc::vec::Vec;

use attestation::codec;
use attestation::committee::Card;
use attestation::ids::{IdentityKey, Slot, ZappId};
use attestation::request::Call;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::SYSTEM_GAS;
use crate::step::StepError;
use crate::step::requests::{self, Requests};
use crate::step::turn::Turn;
use crate::system::methods::{
    self, ABORT, CANCEL, CLAIM, CUTOVER, FREEZE, FUND, LEASE, TRANSFER, WITHDRAW,
};
use crate::system::{
    self, Abort, COMMITTEE, Claim, Committee, Cutover, Freeze, Fund, LeaseTerms, Refusal,
    Successor, Transfer, ZappRecord,
};

/// What a method came to.
type Done = Result<Result<(), Refusal>, StepError>;

/// Why a method did nothing.
pub(super) enum Refused {
    Gas,
    Because(Refusal),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Because(refusal)
    }
}

impl Requests<'_> {
    /// The methods that run nothing.
    pub(super) fn method(&mut self, turn: &mut Turn<'_>) -> Result<Result<(), Refused>, StepError> {
        let (call, method) = (turn.call, turn.call.method.as_str());
        const METHODS: [&str; 9] = [
            FREEZE, ABORT, FUND, WITHDRAW, LEASE, TRANSFER, CLAIM, CANCEL, CUTOVER,
        ];
        if !METHODS.contains(&method) {
            return Ok(Err(Refusal::UnknownMethod.into()));
        }
        if call.gas_limit < SYSTEM_GAS {
            return Ok(Err(Refused::Gas));
        }
        turn.outcome.gas = SYSTEM_GAS;
        let done = match method {
            FREEZE => self.freeze(call)?,
            ABORT => self.abort(call)?,
            LEASE => self.lease(call)?,
            CANCEL if call.input.is_empty() => Ok(()),
            CANCEL => Err(Refusal::Input),
            CUTOVER => self.cutover(call, &mut turn.outcome.output)?,
            _ => self.money(call, &mut turn.outcome.output)?,
        };
        Ok(done.map_err(Refused::Because))
    }

    fn freeze(&mut self, call: &Call) -> Done {
        let Some(Freeze { zapp }) = input(call) else {
            return Ok(Err(Refusal::Input));
        };
        let record = self.owned(call, &zapp)?;
        Ok(record.map(|record| {
            let frozen = true;
            self.set_record(&zapp, &ZappRecord { frozen, ..record });
        }))
    }

    fn abort(&mut self, call: &Call) -> Done {
        let Some(Abort { zapp }) = input(call) else {
            return Ok(Err(Refusal::Input));
        };
        let record = match self.owned(call, &zapp)? {
            Ok(record) if record.aborted => return Ok(Err(Refusal::Aborted)),
            Ok(record) => record,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let aborted = true;
        self.set_record(&zapp, &ZappRecord { aborted, ..record });
        let journal = &mut self.journal;
        let escrow = self.purse.lease(journal, &zapp)?.escrow;
        let paid = self.purse.withdraw(journal, &zapp, &record.owner, escrow)?;
        Ok(paid.then_some(()).ok_or(Refusal::Balance))
    }

    fn lease(&mut self, call: &Call) -> Done {
        let Some(terms) = input::<LeaseTerms>(call) else {
            return Ok(Err(Refusal::Input));
        };
        if let Err(refusal) = self.owned(call, &terms.zapp)? {
            return Ok(Err(refusal));
        }
        let journal = &mut self.journal;
        let mut lease = self.purse.lease(journal, &terms.zapp)?;
        lease.reserve = terms.reserve;
        lease.call_gas_max = terms.call_gas_max;
        self.purse.set_lease(journal, &terms.zapp, &lease)?;
        Ok(Ok(()))
    }

    /// The next step is another epoch's; this one stays the old one's (rule B4).
    fn cutover(&mut self, call: &Call, output: &mut Vec<u8>) -> Done {
        let Some((cutover, members)) = input::<Cutover>(call)
            .and_then(|cutover| cutover.count().map(|members| (cutover, members)))
        else {
            return Ok(Err(Refusal::Input));
        };
        let committee: Committee = requests::read(&mut self.journal, COMMITTEE)?;
        if cutover.base != committee.epoch || !cutover.epoch_follows() {
            return Ok(Err(Refusal::Epoch));
        }
        let last = cutover.members.last().map_or(Slot(0), |seat| seat.slot);
        let next = Committee {
            epoch: cutover.epoch,
            members,
            threshold: cutover.threshold,
            slot_max: committee.slot_max.max(last),
            plan: cutover.plan,
            package: cutover.package,
            profile: cutover.profile,
            ..committee
        };
        let system = ZappId::SYSTEM;
        self.journal
            .put(&system, COMMITTEE, Some(codec::encode(&next)));
        let successor = Successor {
            epoch: cutover.epoch,
            plan: cutover.plan,
            package: cutover.package,
        };
        let key = system::successor_key(committee.epoch);
        self.journal
            .put(&system, &key, Some(codec::encode(&successor)));
        // Those who leave keep theirs: what they earned stays theirs to claim.
        for seat in &cutover.members {
            let account = seat.payout.as_bytes().to_vec();
            let account = (seat.payout != Card::NO_PAYOUT).then_some(account);
            self.journal
                .put(&system, &system::payout_key(seat.slot), account);
        }
        output.extend_from_slice(&cutover.epoch.0.to_be_bytes());
        output.extend_from_slice(cutover.plan.as_bytes());
        output.extend_from_slice(cutover.package.as_bytes());
        Ok(Ok(()))
    }

    fn money(&mut self, call: &Call, output: &mut Vec<u8>) -> Done {
        let caller = &call.caller;
        let moved = match call.method.as_str() {
            TRANSFER => {
                let Some(Transfer { to, amount }) = input(call) else {
                    return Ok(Err(Refusal::Input));
                };
                self.purse
                    .transfer(&mut self.journal, caller, &to, amount)?
            }
            CLAIM => {
                let Some(Claim { slot }) = input(call) else {
                    return Ok(Err(Refusal::Input));
                };
                let key = system::payout_key(slot);
                let payout = self.journal.get(&ZappId::SYSTEM, &key)?;
                let Some(payout) = payout.and_then(|bytes| bytes.try_into().ok()) else {
                    return Ok(Err(Refusal::NoPayout));
                };
                let payout = IdentityKey::from_bytes(payout);
                let amount = self.purse.claim(&mut self.journal, slot, &payout)?;
                output.extend_from_slice(&amount.to_be_bytes());
                true
            }
            method => {
                let Some(Fund { zapp, amount }) = input(call) else {
                    return Ok(Err(Refusal::Input));
                };
                if method == FUND {
                    if self.record(&zapp)?.is_none_or(|record| record.aborted) {
                        return Ok(Err(Refusal::UnknownZapp));
                    }
                    self.purse.fund(&mut self.journal, caller, &zapp, amount)?
                } else {
                    if let Err(refusal) = self.owned(call, &zapp)? {
                        return Ok(Err(refusal));
                    }
                    self.purse
                        .withdraw(&mut self.journal, &zapp, caller, amount)?
                }
            }
        };
        Ok(moved.then_some(()).ok_or(Refusal::Balance))
    }
}

fn input<T: Serialize + DeserializeOwned>(call: &Call) -> Option<T> {
    methods::read(&call.input).ok()
}
