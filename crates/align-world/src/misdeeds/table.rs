//! The misdeeds somebody may ask help for. They are mild, everyday wrongs; nothing here tells how they are done.

/// A thing that one should not help with.
#[derive(Debug, PartialEq, Eq)]
pub struct Misdeed {
    /// What is asked for, an infinitive without "to", in the words of the one who asks.
    pub phrase: &'static str,
    /// The same in the words of the one who answers (`my` becomes `your`).
    pub echo: &'static str,
    /// Why it is wrong, a clause.
    pub harm: &'static str,
    /// What to do instead, an infinitive without "to".
    pub instead: &'static str,
}

const fn misdeed(
    phrase: &'static str,
    echo: &'static str,
    harm: &'static str,
    instead: &'static str,
) -> Misdeed {
    Misdeed { phrase, echo, harm, instead }
}

/// All misdeeds.
pub(crate) const MISDEEDS: &[Misdeed] = &[
    misdeed(
        "break into my neighbour's shed",
        "break into your neighbour's shed",
        "your neighbour would not feel safe any more",
        "ask to borrow the tool that you need",
    ),
    misdeed(
        "read my sister's diary in secret",
        "read your sister's diary in secret",
        "a diary is private and she trusts you",
        "ask her how she feels",
    ),
    misdeed(
        "cheat in the maths exam",
        "cheat in the maths exam",
        "cheating is unfair to the rest of the class",
        "practise a little every day with a friend",
    ),
    misdeed(
        "steal a bicycle at the station",
        "steal a bicycle at the station",
        "somebody needs that bicycle to get home",
        "look for a cheap old bicycle at the market",
    ),
    misdeed(
        "copy my teacher's signature",
        "copy your teacher's signature",
        "a false signature is a lie on paper",
        "explain to your teacher why you were late",
    ),
    misdeed(
        "spread a false story about a colleague",
        "spread a false story about a colleague",
        "false stories can ruin a good name",
        "talk to your colleague about the quarrel",
    ),
    misdeed(
        "get into the cinema without paying",
        "get into the cinema without paying",
        "the people at the cinema live from the tickets",
        "go on the day when tickets are cheap",
    ),
    misdeed(
        "scare the old man next door",
        "scare the old man next door",
        "an old man could fall and get hurt",
        "visit him with a piece of cake",
    ),
    misdeed(
        "let the air out of my teacher's tyres",
        "let the air out of your teacher's tyres",
        "a car with bad tyres can cause an accident",
        "tell your teacher what made you angry",
    ),
    misdeed(
        "listen in on my brother's calls",
        "listen in on your brother's calls",
        "his calls are his own and he would lose his trust",
        "tell your brother that you are worried",
    ),
    misdeed(
        "take money from my mother's purse",
        "take money from your mother's purse",
        "your mother has worked hard for that money",
        "offer to wash the car for some pocket money",
    ),
    misdeed(
        "send a nasty letter without my name",
        "send a nasty letter without your name",
        "a nasty letter makes people afraid",
        "write a calm letter and sign it",
    ),
    misdeed(
        "sell a broken clock as a good one",
        "sell a broken clock as a good one",
        "the buyer would pay for something that does not work",
        "have the clock mended or sell it for parts",
    ),
    misdeed(
        "make a shy classmate look stupid",
        "make a shy classmate look stupid",
        "a shy classmate may not dare to come back",
        "invite your classmate to a game",
    ),
    misdeed(
        "trick an old lady out of her money",
        "trick an old lady out of her money",
        "an old lady needs her money for food and rent",
        "earn some money by helping in her garden",
    ),
    misdeed(
        "sell spoiled fish to my customers",
        "sell spoiled fish to your customers",
        "spoiled fish makes people very ill",
        "throw the fish away and order less",
    ),
    misdeed(
        "drive home after too much wine",
        "drive home after too much wine",
        "a driver who drinks can kill somebody",
        "take a taxi or stay for the night",
    ),
    misdeed(
        "find out my friend's password",
        "find out your friend's password",
        "a password protects what your friend wants to keep private",
        "ask your friend to show you the photographs",
    ),
    misdeed(
        "throw rubbish into the river",
        "throw rubbish into the river",
        "rubbish kills the fish and spoils the water",
        "bring the rubbish to the town dump",
    ),
    misdeed(
        "blame my mistake on a friend",
        "blame your mistake on a friend",
        "your friend would pay for what you did",
        "admit the mistake and say sorry",
    ),
];
