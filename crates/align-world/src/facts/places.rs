//! What is true in the small world: ten towns that exist nowhere else, and the homes and young of animals.

/// What a fact says about its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attribute {
    /// The river that runs through a town.
    River,
    /// The day of a town's market.
    Market,
    /// The mayor of a town.
    Mayor,
    /// What a town is known for.
    Known,
    /// What stands on the hill above a town.
    Hill,
    /// What the home of an animal is called.
    Home,
    /// What the young of an animal is called.
    Young,
}

/// One true thing about the small world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// What the fact is about.
    pub attribute: Attribute,
    /// The town, or the animal (`a horse`; without article where it is the young that is asked for).
    pub subject: &'static str,
    /// The right answer, for example `Teal` or `a stable`.
    pub value: &'static str,
}

/// Town, river, market day, mayor, known for, on the hill.
const TOWNS: [[&str; 6]; 10] = [
    ["Amberly", "Teal", "Monday", "Mrs Lamb", "honey", "a windmill"],
    ["Birchwick", "Linn", "Tuesday", "Mr Stone", "cheese", "an old oak"],
    ["Coldmere", "Ash", "Friday", "Mrs Reed", "wool", "a chapel"],
    ["Dunmoor", "Brock", "Wednesday", "Mr Frost", "glass", "a castle"],
    ["Elderby", "Merle", "Saturday", "Mrs Pike", "roses", "a school"],
    ["Foxholt", "Sable", "Thursday", "Mr Wood", "apples", "a stone tower"],
    ["Gullhaven", "Wend", "Friday", "Mrs Bell", "boats", "a lighthouse"],
    ["Harrowby", "Rook", "Monday", "Mr Field", "bells", "a farm"],
    ["Ivystone", "Hale", "Saturday", "Mrs Hart", "clocks", "a garden"],
    ["Larkfield", "Swan", "Tuesday", "Mr Baker", "pots", "an inn"],
];

const TOWN_ATTRIBUTES: [Attribute; 5] =
    [Attribute::River, Attribute::Market, Attribute::Mayor, Attribute::Known, Attribute::Hill];

const HOMES: &[(&str, &str)] = &[
    ("a horse", "a stable"),
    ("a bee", "a hive"),
    ("a bird", "a nest"),
    ("a fox", "a den"),
    ("a rabbit", "a burrow"),
    ("a spider", "a web"),
    ("a dog", "a kennel"),
    ("a hen", "a coop"),
    ("a pig", "a sty"),
    ("a cow", "a barn"),
];

const YOUNG: &[(&str, &str)] = &[
    ("cow", "a calf"),
    ("horse", "a foal"),
    ("dog", "a puppy"),
    ("cat", "a kitten"),
    ("sheep", "a lamb"),
    ("hen", "a chick"),
    ("duck", "a duckling"),
    ("frog", "a tadpole"),
    ("bear", "a cub"),
    ("goat", "a kid"),
];

/// Every fact, in a fixed order.
pub(crate) fn facts() -> Vec<Fact> {
    let of_towns = TOWNS.iter().flat_map(|row| {
        let cells = TOWN_ATTRIBUTES.iter().zip(&row[1..]);
        cells.map(|(&attribute, &value)| Fact { attribute, subject: row[0], value })
    });
    let homes = HOMES.iter().map(|&(subject, value)| Fact { attribute: Attribute::Home, subject, value });
    let young = YOUNG.iter().map(|&(subject, value)| Fact { attribute: Attribute::Young, subject, value });
    of_towns.chain(homes).chain(young).collect()
}
