use super::key::{Key, Kind, Rule};

/// A value that was read as its key's kind.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Of a [`Kind::Boolean`].
    Boolean(bool),
    /// Of an [`Kind::Int`], [`Kind::Short`] or [`Kind::Long`].
    Number(i64),
    /// Of a [`Kind::Double`].
    Real(f64),
    /// Of a [`Kind::String`], [`Kind::Class`] or [`Kind::Password`].
    Text(String),
    /// Of a [`Kind::List`].
    List(Vec<String>),
}

/// A value that Kafka refuses, in Kafka's words (`ConfigException`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvalidValue(String);

impl InvalidValue {
    fn of(key: &Key, value: &str, why: &str) -> InvalidValue {
        InvalidValue(format!("Invalid value {value} for configuration {}: {why}", key.name))
    }
}

impl std::fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidValue {}

impl Value {
    /// Reads a key's value and checks it, as `ConfigDef.parse` does.
    ///
    /// # Errors
    /// A value of another kind, or one that the key's rule forbids.
    pub fn parse(key: &Key, text: &str) -> Result<Value, InvalidValue> {
        let value = Value::read(key, text)?;
        value.check(key)?;
        Ok(value)
    }

    fn read(key: &Key, text: &str) -> Result<Value, InvalidValue> {
        let trimmed = text.trim_matches(|c: char| c <= ' ');
        let no_number = || InvalidValue::of(key, text, &format!("Not a number of type {}", key.kind.name()));
        let whole = |low: i64, high: i64| {
            let number = trimmed.parse::<i64>().ok().filter(|number| (low..=high).contains(number));
            number.map(Value::Number).ok_or_else(no_number)
        };
        match key.kind {
            Kind::Boolean if trimmed.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
            Kind::Boolean if trimmed.eq_ignore_ascii_case("false") => Ok(Value::Boolean(false)),
            Kind::Boolean => Err(InvalidValue::of(key, text, "Expected value to be either true or false")),
            Kind::Int => whole(i64::from(i32::MIN), i64::from(i32::MAX)),
            Kind::Short => whole(i64::from(i16::MIN), i64::from(i16::MAX)),
            Kind::Long => whole(i64::MIN, i64::MAX),
            Kind::Double => java_double(trimmed).map(Value::Real).ok_or_else(no_number),
            Kind::List if trimmed.is_empty() => Ok(Value::List(Vec::new())),
            Kind::List => Ok(Value::List(trimmed.split(',').map(|part| part.trim().to_owned()).collect())),
            Kind::String | Kind::Class => Ok(Value::Text(trimmed.to_owned())),
            Kind::Password => Ok(Value::Text(text.to_owned())),
        }
    }

    fn check(&self, key: &Key) -> Result<(), InvalidValue> {
        let refuse = |why: &str| Err(InvalidValue::of(key, &self.to_string(), why));
        match (key.rule, self) {
            (Rule::AtLeast(low) | Rule::Between(low, _), Value::Number(number)) if *number < low => {
                refuse(&format!("Value must be at least {low}"))
            }
            (Rule::Between(_, high), Value::Number(number)) if *number > high => {
                refuse(&format!("Value must be no more than {high}"))
            }
            (Rule::Share(low, _), Value::Real(number)) if *number < low => {
                refuse(&format!("Value must be at least {low}"))
            }
            (Rule::Share(_, high), Value::Real(number)) if *number > high => {
                refuse(&format!("Value must be no more than {high}"))
            }
            (Rule::DefaultOr(low, high), Value::Number(number)) if *number != -1 && !(low..=high).contains(number) => {
                refuse(&format!("Value must be between {low} and {high} or equal to -1"))
            }
            (Rule::OneOf(words), Value::Text(text)) if !words.contains(&text.as_str()) => {
                refuse(&format!("String must be one of: {}", words.join(", ")))
            }
            (Rule::OneOfAnyCase(words), Value::Text(text))
                if !words.iter().any(|word| word.eq_ignore_ascii_case(text)) =>
            {
                refuse(&format!("String must be one of (case insensitive): {}", words.join(", ")))
            }
            (Rule::NonEmpty, Value::Text(text)) if text.is_empty() => refuse("String must be non-empty"),
            (Rule::Address, Value::Text(text)) if !text.is_empty() && !is_address(text) => refuse("Not host:port"),
            (Rule::LogLevels, Value::Text(text)) if !text.split(',').all(is_level) => refuse("Not a log level"),
            (Rule::OffsetReset, Value::Text(text)) if !is_offset_reset(text) => refuse(&format!(
                "Invalid value `{text}` for configuration {}. The value must be either 'earliest', 'latest' or of the \
                 format 'by_duration:<PnDTnHnMn.nS>'.",
                key.name
            )),
            (rule, Value::List(parts)) => check_list(key, rule, parts),
            _ => Ok(()),
        }
    }
}

fn check_list(key: &Key, rule: Rule, parts: &[String]) -> Result<(), InvalidValue> {
    if rule == Rule::ThrottledReplicas {
        return check_throttled(key, parts);
    }
    let (words, may_be_empty): (&[&str], bool) = match rule {
        Rule::Set => (&[], true),
        Rule::FilledSet => (&[], false),
        Rule::SetOf(words) => (words, true),
        Rule::FilledSetOf(words) => (words, false),
        _ => return Ok(()),
    };
    if parts.is_empty() && !may_be_empty {
        let choice =
            if words.is_empty() { "any non-empty value".to_owned() } else { format!("[{}]", words.join(", ")) };
        return Err(InvalidValue(format!(
            "Configuration '{}' must not be empty. Valid values include: {choice}",
            key.name
        )));
    }
    if (1..parts.len()).any(|at| parts[..at].contains(&parts[at])) {
        return Err(InvalidValue(format!("Configuration '{}' values must not be duplicated.", key.name)));
    }
    for part in parts {
        if part.is_empty() {
            return Err(InvalidValue(format!("Configuration '{}' values must not be empty.", key.name)));
        }
        if !words.is_empty() && !words.contains(&part.as_str()) {
            return Err(InvalidValue::of(key, part, &format!("String must be one of: {}", words.join(", "))));
        }
    }
    Ok(())
}

fn check_throttled(key: &Key, parts: &[String]) -> Result<(), InvalidValue> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_pair = |part: &str| part.split_once(':').is_some_and(|(left, right)| is_number(left) && is_number(right));
    if parts.iter().all(|part| part.is_empty() || is_pair(part)) || parts == ["*"] {
        return Ok(());
    }
    let why = format!(
        "{} must be the literal '*' or a list of replicas in the following format: \
         [partitionId]:[brokerId],[partitionId]:[brokerId],...",
        key.name
    );
    Err(InvalidValue::of(key, &format!("[{}]", parts.join(", ")), &why))
}

/// `Double.parseDouble` but for hexadecimal.
fn java_double(text: &str) -> Option<f64> {
    match text {
        "NaN" | "+NaN" | "-NaN" => return Some(f64::NAN),
        "Infinity" | "+Infinity" => return Some(f64::INFINITY),
        "-Infinity" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    let digits = text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    if plain { digits.parse().ok() } else { None }
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// `info`, or `ottla_storage=debug`.
fn is_level(part: &str) -> bool {
    let level = part.rsplit_once('=').map_or(part, |(_, level)| level).trim();
    ["off", "error", "warn", "info", "debug", "trace"].iter().any(|known| known.eq_ignore_ascii_case(level))
}

fn is_offset_reset(text: &str) -> bool {
    match text {
        "earliest" | "latest" => true,
        _ => text.strip_prefix("by_duration:").is_some_and(is_positive_duration),
    }
}

/// Whether a text is `PnDTnHnMn.nS` as `java.time.Duration` reads it, and neither negative nor without any part.
fn is_positive_duration(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    let Some(rest) = upper.strip_prefix('P') else { return false };
    let (days, time) = rest.split_once('T').map_or((rest, None), |(days, time)| (days, Some(time)));
    let days_right = days.is_empty() || days.strip_suffix('D').is_some_and(is_digits);
    match time {
        None => !days.is_empty() && days_right,
        Some(time) => days_right && !time.is_empty() && is_time_of_duration(time),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_time_of_duration(mut rest: &str) -> bool {
    for unit in ['H', 'M'] {
        if let Some((number, after)) = rest.split_once(unit) {
            if !is_digits(number) {
                return false;
            }
            rest = after;
        }
    }
    let seconds = |text: &str| match text.split_once(['.', ',']) {
        Some((whole, part)) => is_digits(whole) && (part.is_empty() || is_digits(part) && part.len() <= 9),
        None => is_digits(text),
    };
    rest.is_empty() || rest.strip_suffix('S').is_some_and(seconds)
}

/// As Kafka writes it (`ConfigDef.convertToString`).
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Boolean(value) => value.fmt(f),
            Value::Number(number) => number.fmt(f),
            Value::Real(number) => f.write_str(&java_text(*number)),
            Value::Text(text) => f.write_str(text),
            Value::List(parts) => f.write_str(&parts.join(",")),
        }
    }
}

/// `Double.toString`: a point always, an exponent below 10⁻³ and from 10⁷ on.
fn java_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if number == 0.0 || (1e-3..1e7).contains(&number.abs()) {
        return format!("{number:?}");
    }
    let text = format!("{number:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}
