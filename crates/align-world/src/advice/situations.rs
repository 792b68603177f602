//! The troubles people of the small world ask about: each with three ideas that help, and a sentence of comfort.

/// A trouble that somebody tells of.
#[derive(Debug, PartialEq, Eq)]
pub struct Situation {
    /// The sentence that tells it, without full stop, for example `I cannot sleep at night`.
    pub trouble: &'static str,
    /// Three ideas, each an infinitive without "to".
    pub ideas: [&'static str; 3],
    /// Why the ideas help, or a word of comfort; a whole sentence.
    pub comfort: &'static str,
}

const fn situation(trouble: &'static str, ideas: [&'static str; 3], comfort: &'static str) -> Situation {
    Situation { trouble, ideas, comfort }
}

/// All situations.
pub(crate) const SITUATIONS: &[Situation] = &[
    situation(
        "I cannot sleep at night",
        ["put the phone away an hour before bed", "read a calm book", "go to bed at the same time every day"],
        "A quiet evening makes sleep come sooner.",
    ),
    situation(
        "my best friend is angry with me",
        ["ask what hurt your friend", "say sorry for your part", "give your friend some time"],
        "Most friends come back when they feel heard.",
    ),
    situation(
        "I have an exam next week",
        ["make a plan for each day", "practise with old questions", "sleep well the night before"],
        "A clear plan makes the week lighter.",
    ),
    situation(
        "I feel lonely in my new town",
        ["join a choir or a club", "say hello to your neighbours", "call an old friend on Sundays"],
        "New friends come slowly, but they come.",
    ),
    situation(
        "I spend too much money",
        ["write down what you buy", "leave your card at home", "set a limit for each week"],
        "Small sums grow when you save them.",
    ),
    situation(
        "my room is always a mess",
        ["clear one corner at a time", "give each thing a place", "give away what you do not use"],
        "A tidy room makes a tidy mind.",
    ),
    situation(
        "I am afraid of speaking in public",
        ["practise in front of a mirror", "start with a small group", "breathe slowly before you begin"],
        "Most people in the room wish you well.",
    ),
    situation(
        "my dog barks all day",
        ["walk the dog before work", "leave a toy with food inside", "praise the dog when it is quiet"],
        "A tired dog is a quiet dog.",
    ),
    situation(
        "I forgot my sister's birthday",
        ["call her today and say sorry", "bring her some flowers", "write the date in your calendar"],
        "A late gift is better than no gift.",
    ),
    situation(
        "my neighbour plays loud music",
        [
            "knock at the door and ask kindly",
            "agree on quiet hours",
            "thank your neighbour for a calm evening",
        ],
        "Kind words open more doors than angry ones.",
    ),
    situation(
        "I eat too many sweets",
        ["keep fruit on the table", "drink water when you want sugar", "eat a proper breakfast"],
        "After two weeks you will miss them less.",
    ),
    situation(
        "I am always late for work",
        ["lay out your clothes in the evening", "set the alarm ten minutes earlier", "take the first bus"],
        "A calm morning is worth the effort.",
    ),
    situation(
        "I had a fight with my brother",
        ["wait until you are both calm", "listen before you speak", "tell him that he matters to you"],
        "Brothers can mend more than they think.",
    ),
    situation(
        "my back hurts after work",
        ["stand up every hour", "stretch your back in the morning", "see a doctor if the pain stays"],
        "A back likes to move.",
    ),
    situation(
        "I cannot choose between two jobs",
        ["list the good and bad sides", "talk to people who work there", "ask which job you would miss more"],
        "Both roads can lead to a good life.",
    ),
    situation(
        "I am too tired for sport",
        ["take a short walk after lunch", "choose a sport that is fun", "meet a friend who will go with you"],
        "The first ten minutes are the hardest.",
    ),
    situation(
        "my plants keep dying",
        ["water them only when the soil is dry", "move them nearer to the light", "give them bigger pots"],
        "Most plants die from too much water.",
    ),
    situation(
        "I keep losing my keys",
        [
            "put a hook by the door",
            "hang up the keys as soon as you come in",
            "leave a spare key with a friend",
        ],
        "A fixed place saves you a lot of time.",
    ),
    situation(
        "my son does not like reading",
        ["read to him every evening", "let him choose the books", "visit the library together"],
        "Stories are more fun when you share them.",
    ),
    situation(
        "I miss my old home",
        ["cook a dish from there", "put some pictures on the wall", "plan a visit in the summer"],
        "A place can stay in your heart.",
    ),
];
