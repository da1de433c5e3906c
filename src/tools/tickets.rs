//! `tickets`: what the gates ask of people, and the answers.

use serde_json::Value;

use super::gateway::Reach;
use super::lanes::ticket_table;
use super::table::{Form, say};
use crate::control::Ask;
use crate::domain::gate::desk::Answer;
use crate::domain::gate::gates::act::{GateAct, TicketAct};

/// `tickets`.
#[derive(Debug, clap::Args)]
pub struct TicketsArgs {
    #[command(flatten)]
    reach: Reach,
    /// 输出 JSON / print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// 答复一个事项 / answer a ticket
    Answer {
        /// 事项 id，见 parkgate tickets / id of the ticket, as `parkgate tickets` lists it
        #[arg(value_name = "TICKET")]
        ticket: String,
        /// pass 放行，turn-back 劝返，spoken 已通话（呼叫）/ let it pass, turn it back, spoken with (a call)
        #[arg(value_name = "ANSWER")]
        answer: Word,
        /// 理由，必填 / why, required
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Word {
    #[value(alias = "allow")]
    Pass,
    #[value(alias = "deny")]
    TurnBack,
    Spoken,
}

/// Lists the open tickets, or answers one.
///
/// # Errors
///
/// The gateway's refusal, in words.
pub fn tickets(args: TicketsArgs) -> Result<(), String> {
    let TicketsArgs { reach, json, what } = args;
    let Some(What::Answer { ticket, answer, why }) = what else {
        let told = reach.told(&Ask::Lanes)?;
        if json {
            let tickets = told.pointer("/tickets").cloned().unwrap_or(Value::Null);
            say(&serde_json::to_string_pretty(&tickets).map_err(|error| error.to_string())?);
            return Ok(());
        }
        let table = ticket_table(&told);
        if table.is_empty() {
            say("没有待答复事项 / nothing waits for an answer");
        } else {
            table.print(Form::Table);
        }
        return Ok(());
    };
    let answer = match answer {
        Word::Pass => Answer::Pass,
        Word::TurnBack => Answer::TurnBack,
        Word::Spoken => Answer::Spoken,
    };
    reach.tell(GateAct::Ticket(TicketAct { ticket, answer, why }))
}
