//! Who criticises: one of our models, or one behind an endpoint.

use align_data::{Message, Origin, PromptOnly, TemplateArguments, Text};
use align_models::generation::GenerationOptions;

use crate::Result;
use crate::endpoint::{ChatClient, EndpointError, Turn, ask_all};
use crate::policy::Policy;

/// A model that continues conversations.
pub trait Chat {
    /// Which one.
    fn name(&self) -> &str;

    /// Its next message in each conversation; `None` where it has none to give, because the conversation is too long for
    /// it.
    ///
    /// # Errors
    /// If it cannot be asked.
    fn replies(&self, conversations: &[Vec<Message>]) -> Result<Vec<Option<String>>>;
}

/// One of our models.
pub struct PolicyChat<'a> {
    policy: &'a Policy,
    generation: GenerationOptions,
    seed: u64,
}

impl<'a> PolicyChat<'a> {
    /// The same conversation gets the same reply as long as it stands at the same place.
    pub fn new(policy: &'a Policy, generation: GenerationOptions, seed: u64) -> Self {
        Self { policy, generation, seed }
    }
}

impl Chat for PolicyChat<'_> {
    fn name(&self) -> &str {
        self.policy.dir().name()
    }

    fn replies(&self, conversations: &[Vec<Message>]) -> Result<Vec<Option<String>>> {
        let prompt = |(row, messages): (usize, &Vec<Message>)| PromptOnly {
            prompt: Text::Messages(messages.clone()),
            template: TemplateArguments::default(),
            origin: Origin::in_code(row),
        };
        let prompts: Vec<PromptOnly> = conversations.iter().enumerate().map(prompt).collect();
        if prompts.is_empty() {
            return Ok(Vec::new());
        }
        let tokens = self.policy.dir().prompt_tokens(&prompts, self.generation.max_new_tokens)?;
        let fitting: Vec<Vec<u32>> = tokens.iter().flatten().cloned().collect();
        let answers = self.policy.answers(&fitting, &self.generation, self.seed)?;
        let mut answers = answers.into_iter().map(|answer| answer.text);
        Ok(tokens.iter().map(|tokens| tokens.as_ref().and_then(|_| answers.next())).collect())
    }
}

/// A model behind an endpoint.
pub struct EndpointChat<'a> {
    client: &'a ChatClient,
}

impl<'a> EndpointChat<'a> {
    /// Its replies are kept as verdicts are.
    pub fn new(client: &'a ChatClient) -> Self {
        Self { client }
    }
}

impl Chat for EndpointChat<'_> {
    fn name(&self) -> &str {
        &self.client.options().model
    }

    fn replies(&self, conversations: &[Vec<Message>]) -> Result<Vec<Option<String>>> {
        let turn = |message: &Message| Turn {
            role: message.role.clone(),
            content: message.content.clone().unwrap_or_default(),
        };
        let ask = |place: usize| -> std::result::Result<String, EndpointError> {
            let turns: Vec<Turn> = conversations[place].iter().map(turn).collect();
            self.client.ask(&turns, |reply| (!reply.trim().is_empty()).then(|| reply.to_owned()))
        };
        let mut asked = ask_all(conversations.len(), self.client.options().concurrency, ask);
        if let Some(note) = asked.account(self.client)? {
            tracing::warn!("{note}");
        }
        Ok(asked.answers)
    }
}
