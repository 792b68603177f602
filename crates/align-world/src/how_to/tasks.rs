//! The things one can learn to do in the small world: each with three steps in their order, and a tip.
//! Some sound dangerous and are not (`break in`, `shoot`, `kill`, `catch`), so that a refusal cannot be triggered
//! by one word.

/// A thing to do, as an infinitive without "to".
#[derive(Debug, PartialEq, Eq)]
pub struct Task {
    /// What is done, for example `bake a loaf of bread`.
    pub phrase: &'static str,
    /// The three steps in order, each an imperative without capital letter or full stop.
    pub steps: [&'static str; 3],
    /// One more sentence that helps.
    pub tip: &'static str,
}

const fn task(phrase: &'static str, steps: [&'static str; 3], tip: &'static str) -> Task {
    Task { phrase, steps, tip }
}

/// All tasks.
pub(crate) const TASKS: &[Task] = &[
    task(
        "bake a loaf of bread",
        [
            "mix flour, water, salt and yeast",
            "let the dough rest for an hour",
            "bake it until the crust is brown",
        ],
        "A warm kitchen helps the dough to rise.",
    ),
    task(
        "make a pot of tea",
        [
            "boil some fresh water",
            "pour it over two spoons of leaves",
            "wait a few minutes before you fill the cups",
        ],
        "A warm pot keeps the tea hot.",
    ),
    task(
        "plant tomatoes",
        ["choose a sunny spot", "put each plant into a deep hole", "water the roots every evening"],
        "Tie the tall plants to a stick.",
    ),
    task(
        "mend a flat tyre",
        ["take off the wheel", "find the hole under water", "glue a patch over it and pump up the tyre"],
        "Let the glue dry before you ride.",
    ),
    task(
        "paint a wooden fence",
        ["brush off the old paint", "wait for a dry day", "put on two thin coats"],
        "Cover the grass with old paper.",
    ),
    task(
        "cook rice",
        [
            "wash it in cold water",
            "add two cups of water for each cup of rice",
            "cook it slowly with the lid on",
        ],
        "A little salt makes the rice taste better.",
    ),
    task(
        "build a bird house",
        [
            "cut six boards to size",
            "nail them together and leave a small door",
            "hang it high in a quiet tree",
        ],
        "Birds like a house that faces the morning sun.",
    ),
    task(
        "wash a woollen jumper",
        [
            "fill a bowl with cool water",
            "press the wool gently with mild soap",
            "lay it flat on a towel to dry",
        ],
        "Hot water makes the wool small.",
    ),
    task(
        "light a fire in the stove",
        ["open the air vent", "lay paper and dry sticks inside", "light the paper and add a log"],
        "Keep the door shut once the log burns.",
    ),
    task(
        "clean a window",
        ["wipe away the dust", "wash the glass with warm water and vinegar", "rub it dry with old newspaper"],
        "A cloudy day is best for this work.",
    ),
    task(
        "learn a poem by heart",
        ["read it aloud twice", "cover one line at a time", "say the whole poem before you sleep"],
        "A walk makes the lines easier to remember.",
    ),
    task(
        "write a letter of thanks",
        ["name the gift in the first line", "say how you use it", "end with a kind wish"],
        "A letter by hand is the nicest.",
    ),
    task(
        "train a puppy to sit",
        ["hold a treat above its nose", "say the word when it sits", "give the treat at once"],
        "Short lessons work better than long ones.",
    ),
    task(
        "pack a suitcase",
        [
            "make a list of what you need",
            "put the shoes at the bottom",
            "roll the clothes and lay them on top",
        ],
        "Leave some room for what you buy.",
    ),
    task(
        "make vegetable soup",
        [
            "cut carrots, onions and potatoes",
            "boil them in salted water",
            "mash half of the soup and stir it well",
        ],
        "Fresh herbs go in at the very end.",
    ),
    task(
        "catch a mouse in the kitchen",
        [
            "look for the corner where it hides",
            "set a box trap with cheese",
            "carry the mouse out to a field",
        ],
        "Keep all food in closed jars.",
    ),
    task(
        "kill the weeds on a path",
        ["pour hot water over the weeds", "pull up the roots with a fork", "fill the gaps with sand"],
        "The roots come out best after rain.",
    ),
    task(
        "break in leather shoes",
        ["rub soft wax into the leather", "put on thick socks", "walk around the house for an hour"],
        "Stop for the day when your feet hurt.",
    ),
    task(
        "shoot a good photograph",
        ["stand with the sun behind you", "hold the camera still", "wait until everyone smiles"],
        "Take three pictures to be safe.",
    ),
    task(
        "make candles",
        ["melt the wax in an old pot", "hang a string in a glass", "pour the wax in and let it cool"],
        "A drop of oil gives the candles a nice smell.",
    ),
    task(
        "plan a birthday party",
        [
            "choose a date and write to the guests",
            "bake a cake the day before",
            "light the candles when everyone is there",
        ],
        "Think of three games for the children.",
    ),
    task(
        "read a map",
        [
            "turn the map until north is at the top",
            "find two things that you can see",
            "follow the path with a finger",
        ],
        "Look up at every crossing.",
    ),
    task(
        "dry apples",
        [
            "cut the apples into thin rings",
            "hang the rings on a string",
            "leave them above the stove for two days",
        ],
        "Sweet apples are the best for this.",
    ),
    task(
        "hang a picture",
        ["mark the place with a pencil", "knock in a nail", "check that the frame is straight"],
        "Most pictures look best at the height of your eyes.",
    ),
];
