/// What a value is (`ConfigDef.Type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// 32 bits with a sign.
    Int,
    /// 16 bits with a sign.
    Short,
    /// 64 bits with a sign.
    Long,
    /// A floating-point number.
    Double,
    /// Text with commas between its parts.
    List,
    /// The name of a Java class.
    Class,
    /// Text that is never shown.
    Password,
}

impl Kind {
    /// The number of this kind in DescribeConfigs (`DescribeConfigsResponse.ConfigType`).
    pub const fn code(self) -> i8 {
        match self {
            Kind::Boolean => 1,
            Kind::String => 2,
            Kind::Int => 3,
            Kind::Short => 4,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }

    /// Its name in Kafka's messages.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "BOOLEAN",
            Kind::String => "STRING",
            Kind::Int => "INT",
            Kind::Short => "SHORT",
            Kind::Long => "LONG",
            Kind::Double => "DOUBLE",
            Kind::List => "LIST",
            Kind::Class => "CLASS",
            Kind::Password => "PASSWORD",
        }
    }
}

/// What a value of the right kind must be besides (`ConfigDef.Validator`).
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Rule {
    /// Nothing.
    Any,
    /// A number not below this.
    AtLeast(i64),
    /// A number from the first to the second.
    Between(i64, i64),
    /// A floating-point number from the first to the second.
    Share(f64, f64),
    /// −1, or from the first to the second.
    DefaultOr(i64, i64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of these words, in small or capital letters.
    OneOfAnyCase(&'static [&'static str]),
    /// At least one character.
    NonEmpty,
    /// A list without repetitions; empty is right.
    Set,
    /// A list without repetitions; empty is wrong.
    FilledSet,
    /// A list without repetitions of these words; empty is right.
    SetOf(&'static [&'static str]),
    /// A list without repetitions of these words; empty is wrong.
    FilledSetOf(&'static [&'static str]),
    /// `*`, or `partition:broker` pairs (`ThrottledReplicaListValidator`).
    ThrottledReplicas,
    /// `earliest`, `latest` or `by_duration:` and an ISO-8601 duration (`ShareGroupAutoOffsetResetStrategy`).
    OffsetReset,
    /// Nothing, or `host:port`.
    Address,
    /// A level, or `target=level`, with commas between.
    LogLevels,
}

/// Whether and for whom a broker key may be changed while it runs (`DynamicBrokerConfig`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Only at start.
    ReadOnly,
    /// For one broker.
    PerBroker,
    /// For one broker or for all.
    ClusterWide,
}

/// What Ottla does with a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// What Kafka does.
    Honoured,
    /// Checked, stored and described; what it controls is not there yet: the text says what.
    Stored(&'static str),
    /// Checked, stored and described; what it controls cannot exist here: the text says why.
    Meaningless(&'static str),
}

impl Effect {
    /// One word for tables.
    pub const fn word(self) -> &'static str {
        match self {
            Effect::Honoured => "honoured",
            Effect::Stored(_) => "stored",
            Effect::Meaningless(_) => "meaningless",
        }
    }

    /// Why it has none, if it has none.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Effect::Honoured => None,
            Effect::Stored(why) | Effect::Meaningless(why) => Some(why),
        }
    }
}

/// How the value of a broker's key becomes that of a topic's (`ConfigSynonym`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Convert {
    /// As it is.
    Same,
    /// Hours to milliseconds.
    Hours,
    /// Minutes to milliseconds.
    Minutes,
}

/// A broker's key that a topic's or group's key falls back to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Synonym {
    /// The broker's key.
    pub name: &'static str,
    /// How its value is to be read.
    pub convert: Convert,
}

/// Whose setting it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// A broker's, under Kafka's name.
    Broker,
    /// A broker's that only Ottla has.
    Ottla,
    /// A topic's.
    Topic,
    /// A group's (KIP-848, KIP-932, KIP-1071).
    Group,
    /// A subscription's to clients' metrics (KIP-714).
    ClientMetrics,
}

impl Family {
    /// One word for tables.
    pub const fn word(self) -> &'static str {
        match self {
            Family::Broker => "broker",
            Family::Ottla => "ottla",
            Family::Topic => "topic",
            Family::Group => "group",
            Family::ClientMetrics => "client-metrics",
        }
    }
}

/// One setting: everything that is to be known about it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Key {
    /// Whose it is.
    pub family: Family,
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// Its value when nobody sets one, as Kafka writes it; `None` is null.
    pub default: Option<&'static str>,
    /// What its value must be.
    pub rule: Rule,
    /// When it may be changed; for topics and groups always.
    pub scope: Scope,
    /// What the broker's keys say when the topic or group says nothing, the first that says something.
    pub synonyms: &'static [Synonym],
    /// What Ottla does with it.
    pub effect: Effect,
    /// Whether DescribeConfigs leaves it out.
    pub internal: bool,
    /// What it means, in one sentence.
    pub about: &'static str,
}

impl Key {
    /// Whether its value is never shown.
    pub const fn is_sensitive(&self) -> bool {
        matches!(self.kind, Kind::Password)
    }

    /// What a person may give it, in words.
    pub fn allowed(&self) -> String {
        let number = match self.kind {
            Kind::Double => "a number",
            _ => "a whole number",
        };
        match self.rule {
            Rule::Any => match self.kind {
                Kind::Boolean => "true or false".to_owned(),
                Kind::Int => format!("{number} of 32 bits"),
                Kind::Short => format!("{number} of 16 bits"),
                Kind::Long => format!("{number} of 64 bits"),
                Kind::Double => number.to_owned(),
                Kind::List => "a list with commas".to_owned(),
                Kind::Class => "the name of a class".to_owned(),
                Kind::String | Kind::Password => "any text".to_owned(),
            },
            Rule::AtLeast(low) => format!("{number}, at least {low}"),
            Rule::Between(low, high) => format!("{number} from {low} to {high}"),
            Rule::Share(low, high) => format!("{number} from {low} to {high}"),
            Rule::DefaultOr(low, high) => format!("-1, or {number} from {low} to {high}"),
            Rule::OneOf(words) => format!("one of {}", words.join(", ")),
            Rule::OneOfAnyCase(words) => format!("one of {}, in any case", words.join(", ")),
            Rule::NonEmpty => "any text but none".to_owned(),
            Rule::Set => "a list with commas, each part once".to_owned(),
            Rule::FilledSet => "a list with commas, each part once, not empty".to_owned(),
            Rule::SetOf(words) => format!("a list of {}, each once", words.join(", ")),
            Rule::FilledSetOf(words) => format!("a list of {}, each once, not empty", words.join(", ")),
            Rule::ThrottledReplicas => "*, or a list of partition:broker".to_owned(),
            Rule::Address => "host:port, or nothing".to_owned(),
            Rule::LogLevels => {
                "off, error, warn, info, debug or trace, and target=level for parts, with commas between".to_owned()
            }
            Rule::OffsetReset => "earliest, latest or by_duration:PnDTnHnMn.nS".to_owned(),
        }
    }
}

/// Builds a table of keys. Braces and commas of its own, so that a key keeps its two lines.
///
/// `name, kind, default, rule, scope, effect, about` and, where there are any, `<- broker key` for each synonym in order;
/// `internal` before a name leaves it out of DescribeConfigs.
macro_rules! keys {
    (@default null) => { None };
    (@default $text:literal) => { Some($text) };
    (@internal) => { false };
    (@internal internal) => { true };
    ($(#[$doc:meta])* $visibility:vis $table:ident of $family:ident {
        $($name:literal $($internal:ident)?: $kind:ident = $default:tt, $rule:expr, $scope:ident, $effect:expr;
            $about:literal $(<- $convert:ident $synonym:literal)*;)*
    }) => {
        $(#[$doc])*
        $visibility static $table: &[$crate::config::Key] = &[$($crate::config::Key {
            family: $crate::config::Family::$family,
            name: $name,
            kind: $crate::config::Kind::$kind,
            default: $crate::config::key::keys!(@default $default),
            rule: $rule,
            scope: $crate::config::Scope::$scope,
            synonyms: &[$($crate::config::Synonym {
                name: $synonym,
                convert: $crate::config::Convert::$convert,
            }),*],
            effect: $effect,
            internal: $crate::config::key::keys!(@internal $($internal)?),
            about: $about,
        }),*];
    };
}
pub(crate) use keys;
